"""Runs one of cria's benchmarks and the same rows in PyTorch in turns, and prints them as a table: the least time of a row in
any round, in microseconds, and how many times faster cria is. For operators.py and networks.py."""

import argparse
import json
import subprocess
import time

import torch


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


def compare(what, peers):
    """`peers`: of each program its rows, a function without arguments by name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cria", required=True, help="the program that measures cria")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours, theirs = {}, {peer: {} for peer in peers}
    for _ in range(arguments.rounds):
        command = [arguments.cria, "--benchmark_format=json", "--benchmark_min_time=0.1"]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for row in report["benchmarks"]:
            name = row["name"].removesuffix("/real_time")
            ours[name] = min(ours.get(name, row["real_time"]), row["real_time"])
        for peer, functions in peers.items():
            for name, f in functions.items():
                took = time_of(f)
                theirs[peer][name] = min(theirs[peer].get(name, took), took)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| " + " | ".join([what, "cria", *(cell for peer in peers for cell in (peer, "times faster"))]) + " |")
    print("| --- | ---: |" + " ---: | ---: |" * len(peers))
    for name, own in ours.items():
        cells = [f"{times[name]:.2f} | {times[name] / own:.2f}" if name in times else " | "
                 for times in theirs.values()]
        print(" | ".join([f"| {name}", f"{own:.2f}", *cells]) + " |")
