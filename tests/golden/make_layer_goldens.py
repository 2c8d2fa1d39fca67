#!/usr/bin/env python3
"""Makes layers.json beside this script: outputs and gradients of PyTorch's recurrent and transformer layers.

Usage: pip install torch; python make_layer_goldens.py

Made with Python 3.11, torch 2.15.0, on the CPU, in float64. Element i of input k is sin(1 + k + 0.37 i + i^2 / 64), and of
parameter k, in the order of the names, half of sin(2 + k + 0.37 i + i^2 / 64); the gradient that flows into output k is
cos(1 + k + 0.53 i).
"""

import json
import math
from pathlib import Path

import torch
from torch import nn

torch.set_num_threads(1)


def numbers(shape, function):
    values = [function(i) for i in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def wave(offset):
    return lambda i: math.sin(offset + 0.37 * i + i * i / 64.0)


def rounded(tensor):
    return [float(f"{value:.13g}") for value in tensor.flatten().tolist()]


def causal(length):
    return torch.ones(length, length).triu(1).bool()


# name: (module, shapes of the inputs, how it is called, a tuple of outputs)
WIDTH, HEADS = 6, 2
BLOCK = dict(d_model=WIDTH, nhead=HEADS, dim_feedforward=8, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
CASES = {
    "gru": (nn.GRU(3, 4, num_layers=2, batch_first=True), [(2, 5, 3), (2, 2, 4)], lambda m, x, h: m(x, h)),
    "gru_without_bias": (nn.GRU(3, 4, bias=False, batch_first=True), [(2, 5, 3), (1, 2, 4)], lambda m, x, h: m(x, h)),
    "lstm": (nn.LSTM(3, 4, num_layers=2, batch_first=True), [(2, 5, 3), (2, 2, 4), (2, 2, 4)],
             lambda m, x, h, c: (lambda y, state: (y, *state))(*m(x, (h, c)))),
    "self_attention": (nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), [(2, 5, WIDTH)],
                       lambda m, x: (m(x, x, x)[0],)),
    "causal_attention": (nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, bias=False), [(2, 5, WIDTH)],
                         lambda m, x: (m(x, x, x, attn_mask=causal(5))[0],)),
    "cross_attention": (nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), [(2, 3, WIDTH), (2, 5, WIDTH)],
                        lambda m, x, source: (m(x, source, source)[0],)),
    "masked_attention": (nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), [(2, 3, WIDTH), (2, 5, WIDTH)],
                         lambda m, x, source: (m(x, source, source, key_padding_mask=torch.tensor(
                             [[False] * 5, [False] * 3 + [True] * 2]))[0],)),
    "encoder_block": (nn.TransformerEncoderLayer(**BLOCK), [(2, 5, WIDTH)], lambda m, x: (m(x),)),
    "decoder_block": (nn.TransformerDecoderLayer(**BLOCK), [(2, 3, WIDTH), (2, 5, WIDTH)],
                      lambda m, x, source: (m(x, source, tgt_mask=causal(3)),)),
}


def golden(module, shapes, call):
    module = module.double().train()
    names = sorted(dict(module.named_parameters()))
    parameters = dict(module.named_parameters())
    for k, name in enumerate(names):
        parameters[name].data = 0.5 * numbers(parameters[name].shape, wave(2.0 + k))
    inputs = [numbers(shape, wave(1.0 + k)).requires_grad_() for k, shape in enumerate(shapes)]
    outputs = call(module, *inputs)
    loss = sum((y * numbers(y.shape, lambda i: math.cos(1 + k + 0.53 * i))).sum() for k, y in enumerate(outputs))
    loss.backward()
    return {
        "shapes": [list(shape) for shape in shapes],
        "outputs": [rounded(y.detach()) for y in outputs],
        "gradients": [rounded(x.grad) for x in inputs],
        "parameters": {name: rounded(parameters[name].grad) for name in names},
    }


goldens = {name: golden(*case) for name, case in CASES.items()}
lines = [f'"{name}": {json.dumps(value, separators=(",", ":"))}' for name, value in goldens.items()]
(Path(__file__).resolve().parent / "layers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
