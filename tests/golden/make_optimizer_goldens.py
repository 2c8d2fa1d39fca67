#!/usr/bin/env python3
"""Writes optimizers.json: twenty steps of PyTorch's optimisers, and learning rates of its schedules, in float64.

Needs PyTorch 2.9 or later, which has Muon."""

import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
SHAPES = {"wide": [3, 5], "tall": [5, 3], "vector": [4]}
STEPS = 20


def wave(start, shape):
    count = torch.tensor(shape).prod().item()
    return torch.sin(start + 0.37 * torch.arange(count, dtype=torch.float64)).reshape(shape)


class Lion(torch.optim.Optimizer):
    """Program 1 of Chen et al. 2023; PyTorch has no Lion."""

    def __init__(self, parameters, lr, betas, weight_decay):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                update = torch.sign(torch.lerp(p.grad, momentum, group["betas"][0])) + group["weight_decay"] * p
                momentum.lerp_(p.grad, 1 - group["betas"][1])
                p -= group["lr"] * update


class Muon:
    """PyTorch's, whose Newton-Schulz steps are in bfloat16, in float64; AdamW for vectors."""

    def __init__(self, parameters, lr, weight_decay, adjust):
        parameters = list(parameters)
        matrices = [p for p in parameters if p.dim() == 2]
        vectors = [p for p in parameters if p.dim() < 2]
        self.muon = torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn=adjust)
        self.adamw = torch.optim.AdamW(vectors, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.95))

    def step(self):
        bfloat16, torch.bfloat16 = torch.bfloat16, torch.float64
        try:
            self.muon.step()
        finally:
            torch.bfloat16 = bfloat16
        self.adamw.step()


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.02, weight_decay=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.1),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    "lion": lambda p: Lion(p, lr=0.02, betas=(0.7, 0.6), weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-6, weight_decay=0.1),
    "rmsprop_momentum": lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-6, momentum=0.8),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.5, weight_decay=0.1),
    "muon": lambda p: Muon(p, lr=0.02, weight_decay=0.1, adjust="match_rms_adamw"),
    "muon_original": lambda p: Muon(p, lr=0.02, weight_decay=0.1, adjust="original"),
}


def steps_of(make):
    """The values after the first and after the last step."""
    parameters = [wave(1 + i, shape).requires_grad_() for i, shape in enumerate(SHAPES.values())]
    optimizer = make(parameters)
    after = {}
    for step in range(STEPS):
        for i, (parameter, shape) in enumerate(zip(parameters, SHAPES.values())):
            parameter.grad = wave(2 + 0.9 * step + i, shape)
        optimizer.step()
        if step in (0, STEPS - 1):
            after[str(step + 1)] = {name: p.flatten().tolist() for name, p in zip(SHAPES, parameters)}
    return after


def average_of_steps():
    """SGD's weights, averaged."""
    model = torch.nn.Linear(4, 1, bias=False)
    model.weight.data = wave(1, [1, 4])
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8))
    average.update_parameters(model)  # the first call copies
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(STEPS):
        model.weight.grad = wave(2 + 0.9 * step, [1, 4])
        optimizer.step()
        average.update_parameters(model)
    return average.module.weight.flatten().tolist()


def rates(make, count=40):
    """The learning rates of the first iterations, of a schedule over a rate of 0.5."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule, found = make(optimizer), []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


SCHEDULERS = torch.optim.lr_scheduler
SCHEDULES = {
    "constant": lambda o: SCHEDULERS.LambdaLR(o, lambda _: 1.0),
    "linear": lambda o: SCHEDULERS.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=30),
    "cosine": lambda o: SCHEDULERS.CosineAnnealingLR(o, T_max=39, eta_min=0.05),
    "step": lambda o: SCHEDULERS.StepLR(o, step_size=7, gamma=0.3),
    "one_cycle": lambda o: SCHEDULERS.OneCycleLR(o, max_lr=0.5, total_steps=40, cycle_momentum=False),
}

if __name__ == "__main__":
    found = {
        "made_by": f"tests/golden/make_optimizer_goldens.py, PyTorch {torch.__version__}",
        "formula": "parameter k (from 0) [i] = sin(1 + k + 0.37 i); its gradient of step s (from 0) [i] = "
                   "sin(2 + 0.9 s + k + 0.37 i)",
        "shapes": SHAPES,
        "after_step": {name: steps_of(make) for name, make in OPTIMIZERS.items()},
        "average": average_of_steps(),
        "rates": {name: rates(make) for name, make in SCHEDULES.items()},
    }
    text = json.dumps(found, indent=1)
    Path(__file__).with_name("optimizers.json").write_text(text + "\n")
