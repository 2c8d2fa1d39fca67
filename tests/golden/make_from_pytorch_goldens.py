#!/usr/bin/env python3
"""Writes from_pytorch.json: what PyTorch makes of the expressions in tests/from_pytorch_test.cpp, in float32.

Needs PyTorch 2.9 or later, which has Muon."""

import copy
import json
import re
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

SOURCE = Path(__file__).parent.parent / "from_pytorch_test.cpp"


def wave(start, *shape):
    at = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(start + 0.37 * at + at * at / 64).reshape(shape).float()


INPUTS = {
    "x": wave(1, 3, 4), "y": wave(2, 3, 4), "positive": wave(3, 3, 4).abs() + 0.5, "row": wave(4, 4),
    "a": wave(1, 2, 3, 4), "b": wave(2, 2, 4, 5), "source": wave(3, 3, 2),
    "weight": wave(1, 5, 4), "bias": wave(2, 5), "targets_of_model": wave(5, 3, 3),
    "image": wave(1, 2, 4, 6, 6), "kernel": wave(2, 6, 4, 3, 3), "of_kernel": wave(3, 6),
    "transposed": wave(2, 4, 3, 2, 2),
    "signal": wave(1, 2, 4, 9), "kernel1d": wave(2, 6, 4, 3),
    "q": wave(1, 2, 2, 5, 4), "k": wave(2, 2, 2, 5, 4), "v": wave(3, 2, 2, 5, 4),
    "sequence": wave(1, 2, 6, 8), "memory": wave(2, 2, 5, 8),
    "logits": wave(1, 3, 5), "probability": torch.softmax(wave(2, 3, 5), -1), "of_classes": wave(3, 5).abs() + 0.5,
    "classes": torch.tensor([1, 0, 3]), "tokens": torch.tensor([[0, 3, 1], [4, 3, 2]]),
    "indices": torch.tensor([[0, 3], [1, 1], [2, 0]]), "some": torch.tensor([2, 0]),
}
NAMES = {"torch": torch, "nn": nn, "F": F, "copy": copy, **vars(lr_scheduler),
         "AveragedModel": AveragedModel, "get_ema_multi_avg_fn": get_ema_multi_avg_fn,
         "mask": INPUTS["x"] > 0.2, "other": INPUTS["y"] > 0.1, **INPUTS}


def fill(module):
    """Parameter k in alphabetical order is sin(k + i / 2) / 2 at i."""
    for k, (_, parameter) in enumerate(sorted(module.named_parameters())):
        at = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data = (torch.sin(k + at / 2) / 2).reshape(parameter.shape).float()
    return module


def recorded(value):
    if not isinstance(value, torch.Tensor):
        return {"values": [float(v) for v in value] if hasattr(value, "__len__") else [float(value)]}
    numbers = value.detach().double().flatten().tolist()
    return {"shape": list(value.shape), "values": [float(f"{v:.7g}") for v in numbers]}


def of_layer(constructor, inputs):
    layer = fill(eval(constructor, NAMES)).eval()
    inputs = [NAMES[name.strip()] for name in inputs.split(",")]
    with torch.no_grad():
        if isinstance(layer, nn.MultiheadAttention):
            y = layer(*inputs * 3)
        elif isinstance(layer, nn.TransformerDecoderLayer):
            y = layer(*inputs, tgt_mask=nn.Transformer.generate_square_subsequent_mask(inputs[0].shape[1]))
        else:
            y = layer(*inputs)
    return y[0] if isinstance(y, tuple) else y


def of_optimizer(constructor):
    """The weight after five steps."""
    model = fill(nn.Linear(4, 3, bias=False))
    optimizer = eval(constructor, {**NAMES, "parameters": model.parameters()})
    bfloat16 = torch.bfloat16
    for _ in range(5):
        optimizer.zero_grad()
        F.mse_loss(model(INPUTS["x"]), INPUTS["targets_of_model"]).backward()
        torch.bfloat16 = torch.float32  # which Muon's products are in here
        optimizer.step()
        torch.bfloat16 = bfloat16
    return model.weight


def of_schedule(constructor):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule, rates = eval(constructor, {**NAMES, "optimizer": optimizer}), []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def of_expression(expression):
    """Of the inputs, or of a model with gradients."""
    model = fill(nn.Linear(4, 3, bias=False))
    loss = model(INPUTS["x"]).square().mean()
    loss.backward(retain_graph=True)
    return eval(expression, {**NAMES, "model": model, "loss": loss})


def value_of(macro, pytorch, inputs):
    if macro == "LAYER":
        return of_layer(pytorch, inputs)
    if macro == "OPTIMIZER":
        return of_optimizer(pytorch)
    if macro == "SCHEDULE":
        return of_schedule(pytorch)
    return of_expression(pytorch)


if __name__ == "__main__":
    rows = {}
    for macro, pytorch, inputs in re.findall(r'^ +([A-Z]+)\(\s*"(.*?)",\s*\(?([a-z, ]*)', SOURCE.read_text(), re.M):
        value = value_of(macro, pytorch, inputs)
        if macro == "RANDOM":
            rows[pytorch] = {"shape": list(value.shape)}
        elif macro != "STATEMENT":
            rows[pytorch] = recorded(value)
    found = {"made_by": f"tests/golden/make_from_pytorch_goldens.py, PyTorch {torch.__version__}",
             "inputs": {name: recorded(x) for name, x in INPUTS.items()},
             "rows": rows}
    Path(__file__).with_name("from_pytorch.json").write_text(json.dumps(found) + "\n")
