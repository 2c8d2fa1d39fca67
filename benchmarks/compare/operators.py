#!/usr/bin/env python3
"""The rows of benchmarks/operators_bench in PyTorch; rows.sh operators runs both."""

import torch
import torch.nn.functional as F

import rows


def operators():
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


rows.compare("operation", {"PyTorch": operators()})
