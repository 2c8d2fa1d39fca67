#!/usr/bin/env python3
"""The rows of benchmarks/networks_bench in PyTorch, eager and compiled; rows.sh networks runs both."""

import torch
import torch.nn.functional as F
from torch import nn

import rows


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.scores = nn.GRU(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.scores(self.gru(x)[1][0])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda: nn.TransformerEncoderLayer(128, 4, 512, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks, self.scores = nn.Sequential(block(), block()), nn.Linear(128, 10)

    def forward(self, x):
        return self.scores(self.blocks(x).mean(1))


def networks():
    """Each with the shape of its inputs."""
    mlp = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    convnet = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 7 * 7, 10))
    return {"MLP": (mlp, (64, 784)), "ConvNet": (convnet, (64, 1, 28, 28)), "GRU": (Recurrent(), (32, 64, 64)),
            "Transformer": (Transformer(), (32, 64, 128))}


def step(model, shape, compiled):
    x, y = torch.randn(shape), torch.randint(10, shape[:1])
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    loss_of = torch.compile(lambda: F.cross_entropy(model(x), y)) if compiled else lambda: F.cross_entropy(model(x), y)

    def run():
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()

    return run


def optimizer_steps():
    """On ten matrices of a million weights, in the fastest way that PyTorch has."""
    makers = {
        "SGD": lambda p: torch.optim.SGD(p, momentum=0.9, fused=True),
        "Adam": lambda p: torch.optim.Adam(p, fused=True),
        "AdamW": lambda p: torch.optim.AdamW(p, fused=True),
        "RMSprop": lambda p: torch.optim.RMSprop(p, momentum=0.9),
        "Adafactor": lambda p: torch.optim.Adafactor(p),
        "Muon": lambda p: torch.optim.Muon(p),
    }
    steps = {}
    for name, make in makers.items():
        parameters = [torch.randn(1000, 1000, requires_grad=True) for _ in range(10)]
        for parameter in parameters:
            parameter.grad = torch.randn(1000, 1000)
        steps[name] = make(parameters).step
    return steps


eager = {name: step(model, shape, False) for name, (model, shape) in networks().items()}
compiled = {name: step(model, shape, True) for name, (model, shape) in networks().items()}
rows.compare("step", {"PyTorch": eager | optimizer_steps(), "compiled": compiled})
