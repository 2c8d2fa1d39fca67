#!/usr/bin/env python3
"""Runs benchmarks/operators_bench and the same rows in PyTorch in turns, and prints them as a table: the least time of a row
in any round, in microseconds, and how many times faster cria is. Called by operators.sh."""

import argparse
import json
import subprocess
import time

import torch
import torch.nn.functional as F


def rows():
    x, y, line, few = torch.randn(1024, 1024), torch.randn(1024, 1024), torch.randn(1024), torch.randn(4)
    weight, bias = torch.randn(1024, 1024, requires_grad=True), torch.randn(1024, requires_grad=True)
    images, heads = torch.randn(64, 32, 28, 28), torch.randn(64, 128, 256)
    scale, shift = torch.randn(1024, requires_grad=True), torch.randn(1024, requires_grad=True)
    pixels, kernel = torch.randn(16, 32, 28, 28, requires_grad=True), torch.randn(32, 32, 3, 3, requires_grad=True)
    small = torch.randn(4, requires_grad=True)

    def with_gradients(f, *leaves):
        def run():
            for leaf in leaves:
                leaf.grad = None
            f().sum().backward()

        return run

    chain = lambda: torch.tanh(x * y + line) * y - x
    return {
        "chain of 5 as operators": chain,
        "chain of 5 as one map": chain,
        "add a row": lambda: x + line,
        "add a row, and backward": with_gradients(lambda: weight + bias, weight, bias),
        "sum of all": lambda: x.sum(),
        "sum of rows": lambda: x.sum(1),
        "sum of columns": lambda: x.sum(0),
        "sum of channels": lambda: images.sum((0, 2, 3)),
        "max of rows": lambda: x.amax(1),
        "argmax of rows": lambda: x.argmax(1),
        "variance of rows": lambda: x.var(1),
        "softmax": lambda: x.softmax(1),
        "softmax, and backward": with_gradients(lambda: weight.softmax(1) * y, weight),
        "layer_norm": lambda: F.layer_norm(x, (1024,), scale.detach(), shift.detach()),
        "layer_norm, and backward": with_gradients(
            lambda: F.layer_norm(weight, (1024,), scale, shift) * y, weight, scale, shift
        ),
        "permute {2, 0, 1}": lambda: heads.permute(2, 0, 1).contiguous(),
        "permute {0, 2, 1}": lambda: heads.permute(0, 2, 1).contiguous(),
        "concat of rows": lambda: torch.cat((x, y), 0),
        "concat of columns": lambda: torch.cat((x, y), 1),
        "conv2d": lambda: F.conv2d(pixels.detach(), kernel.detach(), padding=1),
        "conv2d, and backward": with_gradients(lambda: F.conv2d(pixels, kernel, padding=1), pixels, kernel),
        "4 elements": lambda: few * few,
        "4 elements, recorded": lambda: small * small,
    }


def time_of(f):
    """Microseconds a call, over at least 0.1 s."""
    for _ in range(3):
        f()
    calls, elapsed = 1, 0.0
    while elapsed < 0.1:
        calls *= 2
        start = time.perf_counter()
        for _ in range(calls):
            f()
        elapsed = time.perf_counter() - start
    return elapsed / calls * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cria", required=True, help="the program operators_bench")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    theirs, ours = {}, {}
    for _ in range(arguments.rounds):
        command = [arguments.cria, "--benchmark_format=json", "--benchmark_min_time=0.1"]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for row in report["benchmarks"]:
            name = row["name"].removesuffix("/real_time")
            ours[name] = min(ours.get(name, row["real_time"]), row["real_time"])
        for name, f in rows().items():
            took = time_of(f)
            theirs[name] = min(theirs.get(name, took), took)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| operation | cria | PyTorch | times faster |\n| --- | ---: | ---: | ---: |")
    for name, took in theirs.items():
        print(f"| {name} | {ours[name]:.2f} | {took:.2f} | {took / ours[name]:.2f} |")


main()
