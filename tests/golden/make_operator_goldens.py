#!/usr/bin/env python3
"""Makes operators.json beside this script: outputs and gradients of PyTorch for the operators of docs/operators.md.

Usage: pip install torch; python make_operator_goldens.py

Made with Python 3.11, torch 2.15.0, on the CPU, in float64. Element i of input k is sin(1 + k + 0.37 i + i^2 / 64), plus 1.5
where the case says that inputs are positive; the gradient that flows into an output is cos(1 + 0.53 i).
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
INDEX = torch.tensor([2, 0, 2, 1])
TARGETS = torch.tensor([1, -100, 3, 0])
WEIGHT = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5], dtype=torch.float64)
M, C = (4, 5), (2, 4, 5, 6)

# name: (shapes of the inputs, function)
CASES = {
    # on each element
    **{f: ([M], getattr(torch, f)) for f in ("abs square exp expm1 sigmoid tanh erf sin cos").split()},
    **{f: ([M], getattr(F, f)) for f in "relu silu gelu softplus elu leaky_relu".split()},
    "gelu_tanh": ([M], lambda x: F.gelu(x, approximate="tanh")),
    "clamp": ([M], lambda x: x.clamp(-0.5, 0.5)),
    **{f + "+": ([M], getattr(torch, f)) for f in "sqrt rsqrt log log1p".split()},
    "power+": ([M, M], torch.pow),
    "divide+": ([(4, 1), (5,)], torch.div),
    "maximum": ([M, (5,)], torch.maximum),
    "minimum": ([M, (4, 1)], torch.minimum),
    "where": ([M, M], lambda a, b: torch.where(a > b, a * b, a - b)),
    "lerp": ([M, M, (5,)], torch.lerp),
    "masked_fill": ([M], lambda x: x.masked_fill(x > 0.3, -2.0)),
    # rearrangements
    "permute": ([(2, 3, 4)], lambda x: x.permute(2, 0, 1)),
    "slice": ([M], lambda x: x[:, 1:5:2]),
    "select": ([M], lambda x: x.select(1, -2)),
    "split": ([M], lambda x: torch.split(x, [2, 3], 1)[1]),
    "chunk": ([M], lambda x: torch.chunk(x, 3, 1)[2]),
    "concat": ([M, (4, 2)], lambda a, b: torch.cat((a, b), 1)),
    "stack": ([M, M], lambda a, b: torch.stack((a, b), 1)),
    "expand": ([(4, 1)], lambda x: x.expand(3, 4, 2)),
    "repeat": ([M], lambda x: x.repeat(2, 3)),
    "flip": ([M], lambda x: x.flip(0, 1)),
    "roll": ([M], lambda x: x.roll(2, 1)),
    "pad": ([M], lambda x: F.pad(x, (1, 2, 3, 0), value=0.25)),
    "tril": ([M], lambda x: x.tril(1)),
    "triu": ([M], lambda x: x.triu(-1)),
    "unfold": ([C], lambda x: F.unfold(x, (2, 3), stride=(2, 1), padding=1, dilation=(1, 2))),
    "flatten": ([(2, 3, 4)], lambda x: x.flatten(1)),
    # reductions
    "sum": ([(2, 3, 4)], lambda x: x.sum((0, 2))),
    "mean": ([(2, 3, 4)], lambda x: x.mean((1,), keepdim=True)),
    "prod": ([(2, 3, 4)], lambda x: x.prod(1)),
    "max": ([(2, 3, 4)], lambda x: x.amax((0, 2))),
    "min": ([(2, 3, 4)], lambda x: x.amin((0, 1))),
    "variance": ([(2, 3, 4)], lambda x: x.var((0, 2))),
    "standard_deviation": ([(2, 3, 4)], lambda x: x.std((1, 2), correction=0)),
    "norm": ([(2, 3, 4)], lambda x: torch.linalg.vector_norm(x, dim=(0, 2))),
    "logsumexp": ([(2, 3, 4)], lambda x: x.logsumexp((0, 2))),
    # products
    "matmul": ([(2, 1, 3, 4), (3, 4, 2)], torch.matmul),
    "matmul_of_vectors": ([(4,), (2, 4, 3)], torch.matmul),
    "bmm": ([(2, 3, 4), (2, 4, 2)], torch.bmm),
    "dot": ([(5,), (5,)], torch.dot),
    "outer": ([(3,), (4,)], torch.outer),
    "linear": ([(2, 3, 4), (5, 4), (5,)], F.linear),
    "conv1d": ([(2, 4, 7), (6, 2, 3), (6,)], lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1, groups=2)),
    "conv2d": ([C, (6, 2, 3, 2), (6,)],
               lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)),
    "conv_transpose2d": ([C, (4, 3, 3, 2), (6,)],
                         lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=(1, 0),
                                                            dilation=(1, 2), groups=2)),
    "max_pool2d": ([C], lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=(1, 0))),
    "avg_pool2d": ([C], lambda x: F.avg_pool2d(x, 2, padding=1)),
    "interpolate_nearest": ([C], lambda x: F.interpolate(x, scale_factor=(2, 3), mode="nearest")),
    # normalisation
    "softmax": ([(2, 3, 4)], lambda x: x.softmax(1)),
    "log_softmax": ([(2, 3, 4)], lambda x: x.log_softmax(-1)),
    "layer_norm": ([(2, 3, 4), (3, 4), (3, 4)], lambda x, w, b: F.layer_norm(x, (3, 4), w, b)),
    "group_norm": ([C, (4,), (4,)], lambda x, w, b: F.group_norm(x, 2, w, b)),
    "batch_norm": ([C, (4,), (4,)], lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)),
    # indices
    "gather": ([M], lambda x: x.gather(1, INDEX.reshape(4, 1))),
    "index_select": ([M], lambda x: x.index_select(0, INDEX)),
    "scatter_add": ([M, (4, 1)], lambda x, s: x.scatter_add(1, INDEX.reshape(4, 1), s)),
    "scatter": ([M, (4, 1)], lambda x, s: x.scatter(1, INDEX.reshape(4, 1), s)),
    "einsum_product": ([(2, 3, 4), (2, 4, 5)], lambda a, b: torch.einsum("bij,bjk->bik", a, b)),
    "einsum_heads": ([(2, 3, 2, 4), (2, 5, 2, 4)], lambda a, b: torch.einsum("bqhd,bkhd->bhqk", a, b)),
    "einsum_sums": ([(2, 3, 4), (4, 5, 3)], lambda a, b: torch.einsum("xij,jyi->i", a, b)),
    "einsum_outer": ([(3,), (2,)], lambda a, b: torch.einsum("i,j->ji", a, b)),
    "einsum_scalar": ([M, M], lambda a, b: torch.einsum("ij,ij->", a, b)),
    # losses
    "mse_loss": ([M, M], F.mse_loss),
    "l1_loss": ([M, M], F.l1_loss),
    "huber_loss": ([M, M], lambda x, t: F.huber_loss(x, t, delta=0.5)),
    "binary_cross_entropy_with_logits": ([M, M], F.binary_cross_entropy_with_logits),
    "kl_div+": ([M, M], lambda x, t: F.kl_div(x, t, reduction="sum")),
    "cross_entropy": ([M], lambda x: F.cross_entropy(x, TARGETS)),
    "cross_entropy_smoothed": ([M], lambda x: F.cross_entropy(x, TARGETS, weight=WEIGHT, label_smoothing=0.2)),
    "nll_loss": ([M], lambda x: F.nll_loss(x, TARGETS)),
    "cosine_similarity": ([M, M], lambda a, b: F.cosine_similarity(a, b, dim=1)),
}


def numbers(shape, offset):
    count = math.prod(shape)
    return torch.tensor([math.sin(offset + 0.37 * i + i * i / 64.0) for i in range(count)], dtype=torch.float64).reshape(shape)


def rounded(tensor):
    return [float(f"{value:.13g}") for value in tensor.flatten().tolist()]


def golden(shapes, function, positive):
    inputs = [(numbers(shape, 1.0 + k) + 1.5 * positive).requires_grad_() for k, shape in enumerate(shapes)]
    output = function(*inputs)
    flow = torch.tensor([math.cos(1 + 0.53 * i) for i in range(output.numel())], dtype=torch.float64)
    output.backward(flow.reshape(output.shape))
    return {
        "shapes": [list(shape) for shape in shapes],
        "positive": positive,
        "output_shape": list(output.shape),
        "output": rounded(output.detach()),
        "gradients": [rounded(x.grad) for x in inputs],
    }


goldens = {name.rstrip("+"): golden(*case, name.endswith("+")) for name, case in CASES.items()}
lines = [f'"{name}": {json.dumps(value, separators=(",", ":"))}' for name, value in goldens.items()]
(Path(__file__).resolve().parent / "operators.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
