#!/usr/bin/env python3
"""Makes the golden files of cria's tests: what PyTorch computes, so that cria is not its own judge.

Usage:
    pip install torch numpy safetensors transformers
    python make_goldens.py                      # rewrites every golden file beside this script
    python make_goldens.py --check-transformers # writes nothing; compares this Llama with transformers' own

Made with Python 3.11, torch 2.15.0, numpy 2.4.6, safetensors 0.8.0 (transformers 5.23.0), on the CPU, one
thread. Everything runs in float64 but what is called float32. On the same machine the files come out the same,
byte for byte; on another processor the last digits may differ.

The files:
    <case>.json         a small Llama: config, tokens, parameter list, first loss, ten AdamW training steps
    <case>.safetensors  its logits [batch, positions, vocabulary] and `gradient.<name>` of every parameter
                        at the first backward (no clipping), computed in float64, stored in float32
    checkpoints/<case>/ config.json and model.safetensors as transformers saves the model of that case, for
                        those that are called CHECKPOINTS
    ops.json            single operations: inputs, outputs and gradients in float64
    dtype.json          float32 -> bfloat16 and float16, as bit patterns
    rotary_frequencies.json  inv_freq of transformers' LlamaRotaryEmbedding, in float32

No weights are stored. Parameter p of the list (from 0) has, at flat element i (row-major),
    value = 0.1 * sin(1 + 1.75 * p + 0.375 * i + i * i / 64.0)        (norm weights: 1 + that)
computed in double (no integer division; that 1 + too), then rounded to float32. The angle is exact in double,
so any order of evaluation gives the same; the square gives the matrices full rank. Without it they have rank 2,
and float32 training drifts from float64 within ten steps.

The tokens of step s are
    (7*b*b + 5*t + 3*((t*t) % 11) + b*t + 3*s) % vocabulary        for row b and t = 0..T
where t = 0..T-1 are the inputs and t = 1..T the targets. The inputs of ops.json are
    sin(offset + 0.37 * i)
with the offset beside each; the gradient that flows into an output is cos(1 + 0.53 * i).
"""

import argparse
import json
import math
import struct
import tempfile
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import save, save_file

FOLDER = Path(__file__).resolve().parent

# ---------------------------------------------------------------------------------------------- the Llama


def llama_config(heads, kv_heads, head_dim, intermediate, layers, vocabulary, tied, **more):
    """The fields of a Hugging Face config.json, complete enough for AutoModelForCausalLM.from_pretrained."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": heads * head_dim,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "max_position_embeddings": 64,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    } | more


# As in Llama 3.2, for a context short enough that each kind of frequency is there: kept, slowed down, in between.
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
QWEN3 = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}

# name: (config, batch, positions)
CASES = {
    "tied_kv2": (llama_config(4, 2, 8, 48, 2, 40, True), 2, 12),
    "untied_kv1": (llama_config(4, 1, 10, 56, 2, 37, False), 3, 9),
    "tied_kv4": (llama_config(4, 4, 6, 40, 1, 29, True), 2, 7),
    "tied_head_dim36": (llama_config(2, 1, 36, 32, 2, 33, True), 2, 17),
    "llama32": (llama_config(4, 2, 8, 40, 2, 40, True, hidden_size=24, max_position_embeddings=1024, rope_scaling=LLAMA3), 2, 12),
    "biased": (
        llama_config(
            4, 2, 6, 40, 2, 37, False, attention_bias=True, mlp_bias=True,
            rope_scaling={"rope_type": "linear", "factor": 4.0},
        ),
        2,
        9,
    ),
    "qwen2": (llama_config(4, 2, 6, 40, 1, 33, True, **QWEN2), 2, 9),
    "qwen3": (llama_config(4, 2, 10, 40, 2, 31, True, hidden_size=24, **QWEN3), 2, 9),
}
CHECKPOINTS = ["llama32", "biased", "qwen2", "qwen3"]


def parameter_list(config):
    """(name, shape) of every parameter, in the order in which the model visits them."""
    width, hidden = config["hidden_size"], config["intermediate_size"]
    q_width = config["num_attention_heads"] * config["head_dim"]
    kv_width = config["num_key_value_heads"] * config["head_dim"]
    model_type, mlp_bias = config["model_type"], config["mlp_bias"]
    qkv_bias = model_type == "qwen2" or config["attention_bias"]
    result = [("model.embed_tokens.weight", (config["vocab_size"], width))]

    def linear(name, out, inputs, bias):
        return [(name + ".weight", (out, inputs))] + ([(name + ".bias", (out,))] if bias else [])

    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        result.append((prefix + "input_layernorm.weight", (width,)))
        result += linear(prefix + "self_attn.q_proj", q_width, width, qkv_bias)
        result += linear(prefix + "self_attn.k_proj", kv_width, width, qkv_bias)
        result += linear(prefix + "self_attn.v_proj", kv_width, width, qkv_bias)
        result += linear(prefix + "self_attn.o_proj", width, q_width, config["attention_bias"])
        if model_type == "qwen3":
            result.append((prefix + "self_attn.q_norm.weight", (config["head_dim"],)))
            result.append((prefix + "self_attn.k_norm.weight", (config["head_dim"],)))
        result.append((prefix + "post_attention_layernorm.weight", (width,)))
        result += linear(prefix + "mlp.gate_proj", hidden, width, mlp_bias)
        result += linear(prefix + "mlp.up_proj", hidden, width, mlp_bias)
        result += linear(prefix + "mlp.down_proj", width, hidden, mlp_bias)
    result.append(("model.norm.weight", (width,)))
    if not config["tie_word_embeddings"]:
        result.append(("lm_head.weight", (config["vocab_size"], width)))
    return result


def initial_parameters(config, dtype):
    """The weights of the formula at the top: the same float32 values, whatever the dtype."""
    parameters = {}
    for p, (name, shape) in enumerate(parameter_list(config)):
        base = 1.0 if name.endswith("norm.weight") else 0.0
        values = [base + 0.1 * math.sin(1 + 1.75 * p + 0.375 * i + i * i / 64) for i in range(math.prod(shape))]
        tensor = torch.tensor(values, dtype=torch.float64).to(torch.float32).to(dtype)
        parameters[name] = tensor.reshape(shape).requires_grad_()
    return parameters


def make_tokens(batch, positions, vocabulary, step=0):
    """Token ids [batch, positions + 1] of a training step."""
    return torch.tensor(
        [
            [(7 * b * b + 5 * t + 3 * ((t * t) % 11) + b * t + 3 * step) % vocabulary for t in range(positions + 1)]
            for b in range(batch)
        ]
    )


def rms_norm(x, weight, epsilon):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + epsilon) * weight


def rotary_frequencies(head_dim, theta, scaling=None):
    """theta^(-2j/D), scaled as the field rope_scaling says: [D/2]."""
    frequency = theta ** (-2.0 * torch.arange(head_dim // 2, dtype=torch.float64) / head_dim)
    if scaling is None:
        return frequency
    slowed = frequency / scaling["factor"]
    if scaling["rope_type"] == "linear":
        return slowed
    turns = scaling["original_max_position_embeddings"] * frequency / (2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return kept * frequency + (1 - kept) * slowed


def rope(x, start, frequency):
    """Rotate-half: element j and element j + D/2 of a head turn together by position * frequency[j].

    x [B, T, H, D]. Written as a product of complex numbers.
    """
    positions = x.shape[1]
    angle = torch.outer(torch.arange(start, start + positions, dtype=torch.float64), frequency)  # [T, D/2]
    real, imaginary = x.chunk(2, dim=-1)
    complex_type = {torch.float32: torch.complex64, torch.float64: torch.complex128}[x.dtype]
    turn = torch.polar(torch.ones_like(angle), angle).to(complex_type)[:, None, :]  # [T, 1, D/2]
    turned = torch.complex(real, imaginary) * turn
    return torch.cat((turned.real, turned.imag), dim=-1)


def causal_attention(q, k, v):
    """q [B, T, H, D], k and v [B, T, K, D] -> [B, T, H, D]; query head h reads head h / (H / K) of k and v."""
    group = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(group, dim=2), v.repeat_interleave(group, dim=2)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[3])
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return torch.einsum("bhqk,bkhd->bqhd", scores.masked_fill(future, -math.inf).softmax(-1), v)


def forward(parameters, config, ids):
    """Logits [B, T, V] of token ids [B, T]."""
    epsilon = config["rms_norm_eps"]
    frequency = rotary_frequencies(config["head_dim"], config["rope_theta"], config.get("rope_scaling"))
    batch, positions = ids.shape
    x = parameters["model.embed_tokens.weight"][ids]  # [B, T, C]
    for layer in range(config["num_hidden_layers"]):

        def weight(name):
            return parameters[f"model.layers.{layer}.{name}.weight"]

        def linear(name, values):
            return F.linear(values, weight(name), parameters.get(f"model.layers.{layer}.{name}.bias"))

        def heads(values):
            return values.reshape(batch, positions, -1, config["head_dim"])

        def head_norm(name, values):
            return rms_norm(values, weight(name), epsilon) if config["model_type"] == "qwen3" else values

        h = rms_norm(x, weight("input_layernorm"), epsilon)
        q = rope(head_norm("self_attn.q_norm", heads(linear("self_attn.q_proj", h))), 0, frequency)
        k = rope(head_norm("self_attn.k_norm", heads(linear("self_attn.k_proj", h))), 0, frequency)
        v = heads(linear("self_attn.v_proj", h))
        x = x + linear("self_attn.o_proj", causal_attention(q, k, v).reshape(batch, positions, -1))
        h = rms_norm(x, weight("post_attention_layernorm"), epsilon)
        x = x + linear("mlp.down_proj", F.silu(linear("mlp.gate_proj", h)) * linear("mlp.up_proj", h))
    x = rms_norm(x, parameters["model.norm.weight"], epsilon)
    return x @ parameters.get("lm_head.weight", parameters["model.embed_tokens.weight"]).T


def loss_of(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# ----------------------------------------------------------------------------------------------- training

TRAINING = {
    "steps": 10,
    "learning_rate": 1e-2,
    "warmup_iters": 3,
    "lr_decay_iters": 10,
    "min_lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1e-8,
    "weight_decay": 0.1,
    "grad_clip": 1.0,
}


def scheduled_learning_rate(iteration, learning_rate, warmup_iters, lr_decay_iters, min_lr):
    if iteration < warmup_iters:
        return learning_rate * iteration / warmup_iters
    if iteration > lr_decay_iters:
        return min_lr
    progress = (iteration - warmup_iters) / (lr_decay_iters - warmup_iters)
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * progress)) * (learning_rate - min_lr)


def learning_rates():
    keys = ("learning_rate", "warmup_iters", "lr_decay_iters", "min_lr")
    return [scheduled_learning_rate(it, *(TRAINING[key] for key in keys)) for it in range(TRAINING["steps"])]


def train(config, batch, positions, dtype):
    """Losses (each before its update) and gradient norms (before clipping) of ten steps; weights decay by rank >= 2."""
    parameters = initial_parameters(config, dtype)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters.values() if p.dim() >= 2], "weight_decay": TRAINING["weight_decay"]},
            {"params": [p for p in parameters.values() if p.dim() < 2], "weight_decay": 0.0},
        ],
        betas=(TRAINING["beta1"], TRAINING["beta2"]),
        eps=TRAINING["epsilon"],
        foreach=False,
    )
    losses, norms = [], []
    for step, rate in enumerate(learning_rates()):
        tokens = make_tokens(batch, positions, config["vocab_size"], step)
        loss = loss_of(forward(parameters, config, tokens[:, :-1]), tokens[:, 1:])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), TRAINING["grad_clip"])
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        norms.append(norm.item())
    return losses, norms


def write_case(name, config, batch, positions):
    parameters = initial_parameters(config, torch.float64)
    tokens = make_tokens(batch, positions, config["vocab_size"])
    logits = forward(parameters, config, tokens[:, :-1])
    loss = loss_of(logits, tokens[:, 1:])
    loss.backward()
    losses64, norms64 = train(config, batch, positions, torch.float64)
    losses32, norms32 = train(config, batch, positions, torch.float32)
    assert losses64[0] == loss.item()

    tensors = {"logits": logits.detach()} | {f"gradient.{key}": p.grad for key, p in parameters.items()}
    tensors = {key: tensor.to(torch.float32).contiguous() for key, tensor in tensors.items()}
    (FOLDER / f"{name}.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    write_json(
        f"{name}.json",
        {
            "config": config,
            "batch_size": batch,
            "positions": positions,
            "tokens": tokens.tolist(),
            "parameters": [{"name": key, "shape": list(shape)} for key, shape in parameter_list(config)],
            "loss": loss.item(),
            "training": TRAINING,
            "learning_rates": learning_rates(),
            "losses_float64": losses64,
            "losses_float32": losses32,
            "gradient_norms_float64": norms64,
            "gradient_norms_float32": norms32,
        },
    )


# --------------------------------------------------------------------------------------- single operations


def wave(offset, *shape):
    """sin(offset + 0.37 * i) over the flat index i."""
    values = [math.sin(offset + 0.37 * i) for i in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def upstream(shape):
    """The gradient that flows into an output: cos(1 + 0.53 * i)."""
    values = [math.cos(1 + 0.53 * i) for i in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def as_json(tensor):
    return {"shape": list(tensor.shape), "values": tensor.flatten().tolist()}


def op_entry(formula, operation, inputs, **attributes):
    """Runs `operation` on inputs {name: (offset, shape)}; records output and gradients."""
    tensors = {name: wave(offset, *shape).requires_grad_() for name, (offset, shape) in inputs.items()}
    output = operation(**tensors)
    output.backward(upstream(output.shape))
    return {
        "formula": formula,
        **attributes,
        "inputs": {name: {"offset": inputs[name][0]} | as_json(x.detach()) for name, x in tensors.items()},
        "output": as_json(output.detach()),
        "output_gradient": as_json(upstream(output.shape)),
        "gradients": {name: as_json(x.grad) for name, x in tensors.items()},
    }


def attention_by_torch(q, k, v):
    """PyTorch's own kernel, which wants [B, H, T, D]."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2)


class Lion(torch.optim.Optimizer):
    """Program 1 of Chen et al. 2023; PyTorch has no Lion."""

    def __init__(self, parameters, lr, beta1, beta2, weight_decay):
        super().__init__(parameters, {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                update = torch.sign(torch.lerp(p.grad, momentum, group["beta1"])) + group["weight_decay"] * p
                momentum.lerp_(p.grad, 1 - group["beta2"])
                p -= group["lr"] * update


def optimizer_entry(make, learning_rate, weight_decay, **constants):
    """Five steps of make(parameters, **options)."""
    parameter = wave(1, 5).requires_grad_()
    optimizer = make([parameter], lr=learning_rate, weight_decay=weight_decay, **constants)
    initial, after = as_json(parameter.detach().clone()), []
    for step in range(5):
        parameter.grad = wave(2 + 0.9 * step, 5)
        optimizer.step()
        after.append(parameter.detach().tolist())
    return {
        "formula": "parameter[i] = sin(1 + 0.37 i); gradient of step s (from 0) [i] = sin(2 + 0.9 s + 0.37 i)",
        "learning_rate": learning_rate,
        **constants,
        "weight_decay": weight_decay,
        "parameter": initial,
        "parameter_after_step": after,
    }


def adamw(parameters, beta1, beta2, epsilon, **options):
    return torch.optim.AdamW(parameters, betas=(beta1, beta2), eps=epsilon, foreach=False, **options)


def adamw_entry(weight_decay):
    return optimizer_entry(adamw, 1e-2, weight_decay, beta1=0.9, beta2=0.95, epsilon=1e-8)


def sgd_entry(nesterov):
    return optimizer_entry(torch.optim.SGD, 1e-2, 0.1, momentum=0.9, nesterov=nesterov)


def clip_entry(max_norm):
    gradients = {"first": wave(1, 2, 3), "second": wave(4, 4)}
    parameters = []
    for gradient in gradients.values():
        parameters.append(torch.zeros_like(gradient, requires_grad=True))
        parameters[-1].grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return {
        "formula": "first[i] = sin(1 + 0.37 i), second[i] = sin(4 + 0.37 i); "
        "each times min(1, max_norm / (norm + 1e-6)), norm over both",
        "max_norm": max_norm,
        "gradients": {name: as_json(gradient) for name, gradient in gradients.items()},
        "norm": norm.item(),
        "clipped": {name: as_json(p.grad) for name, p in zip(gradients, parameters)},
    }


def write_ops():
    targets, ignored = [3, -1, 0, 6, -1, 2], -1
    attention_shapes = {"q": (1, (2, 5, 4, 6)), "k": (2, (2, 5, 2, 6)), "v": (3, (2, 5, 2, 6))}
    q, k, v = (wave(offset, *shape) for offset, shape in attention_shapes.values())
    torch.testing.assert_close(causal_attention(q, k, v), attention_by_torch(q, k, v), rtol=1e-12, atol=1e-12)
    x, weight = wave(1, 3, 7), wave(2, 7)
    torch.testing.assert_close(rms_norm(x, weight, 1e-5), F.rms_norm(x, (7,), weight, 1e-5), rtol=1e-12, atol=1e-12)

    schedule = {"learning_rate": 5e-4, "warmup_iters": 1000, "lr_decay_iters": 100000, "min_lr": 0.0}
    iterations = [0, 1, 10, 100, 500, 1000, 1001, 2000, 50000, 99999, 100000, 100001]
    write_json(
        "ops.json",
        {
            "silu": op_entry("x * sigmoid(x)", lambda x: F.silu(x), {"x": (1, (3, 7))}),
            "swiglu": op_entry(
                "silu(gate) * up", lambda gate, up: F.silu(gate) * up, {"gate": (1, (3, 7)), "up": (2, (3, 7))}
            ),
            "rms_norm": op_entry(
                "x / sqrt(mean(x^2, last dimension) + epsilon) * weight",
                lambda x, weight: F.rms_norm(x, (7,), weight, 1e-5),
                {"x": (1, (3, 7)), "weight": (2, (7,))},
                epsilon=1e-5,
            ),
            "cross_entropy": op_entry(
                "mean over the counted targets of -log softmax(logits)[target]",
                lambda logits: F.cross_entropy(logits, torch.tensor(targets), ignore_index=ignored),
                {"logits": (1, (6, 7))},
                targets=targets,
                ignore_index=ignored,
            ),
            "rope": op_entry(
                "rotate-half; x is [batch, position, head, head_dim]; element j turns with j + head_dim/2 "
                "by (start + position) * theta^(-2j/head_dim)",
                lambda x: rope(x, 3, rotary_frequencies(6, 10000.0)),
                {"x": (1, (2, 5, 3, 6))},
                start=3,
                theta=10000.0,
            ),
            "causal_attention": op_entry(
                "softmax(q k^T / sqrt(head_dim)) v, causal; q, k, v are [batch, position, head, head_dim]; "
                "query head h reads head h / (query heads / key heads)",
                attention_by_torch,
                attention_shapes,
            ),
            "adamw": adamw_entry(0.1),
            "adamw_without_decay": adamw_entry(0.0),
            "sgd": sgd_entry(False),
            "sgd_nesterov": sgd_entry(True),
            "lion": optimizer_entry(Lion, 1e-2, 0.1, beta1=0.7, beta2=0.6),
            "clip_grad_norm": clip_entry(1.0),
            "clip_grad_norm_below_limit": clip_entry(10.0),
            "cosine_schedule": {
                "formula": "it < warmup_iters: learning_rate * it / warmup_iters; it > lr_decay_iters: min_lr; else "
                "min_lr + 0.5 (1 + cos(pi (it - warmup_iters) / (lr_decay_iters - warmup_iters))) "
                "(learning_rate - min_lr)",
                **schedule,
                "iterations": iterations,
                "learning_rates": [scheduled_learning_rate(it, **schedule) for it in iterations],
            },
        },
    )


# --------------------------------------------------------------------------------------- rotary frequencies


def write_rotary_frequencies():
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    llama3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    cases = [
        (36, {"rope_type": "default", "rope_theta": 10000.0}),
        (64, {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
        (128, {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, **llama3}),  # Llama 3.1
        (64, {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, **llama3}),  # Llama 3.2
    ]
    content = []
    for head_dim, parameters in cases:
        config = LlamaConfig(
            hidden_size=head_dim,
            num_attention_heads=1,
            head_dim=head_dim,
            max_position_embeddings=131072,
            rope_parameters=dict(parameters),
        )
        embedding = LlamaRotaryEmbedding(config)
        assert embedding.attention_scaling == 1
        content.append({"head_dim": head_dim, "rope_parameters": parameters, "inv_freq": embedding.inv_freq.tolist()})
    write_json("rotary_frequencies.json", {"cases": content})


# ------------------------------------------------------------------------------------------- 16-bit types

# (bits of a float32, why it is tricky)
TRICKY_FLOATS = [
    (0x00000000, "0"),
    (0x80000000, "-0"),
    (0x3F800000, "1"),
    (0xBF800000, "-1"),
    (0x3DCCCCCD, "0.1"),
    (0x40490FDB, "pi"),
    (0xC02DF854, "-e"),
    (0x7F800000, "infinity"),
    (0xFF800000, "-infinity"),
    # bfloat16: 16 bits are dropped, 0x8000 is the tie
    (0x3F808000, "bfloat16 tie, even below"),
    (0x3F818000, "bfloat16 tie, even above"),
    (0xBF808000, "negative bfloat16 tie, even below"),
    (0xBF818000, "negative bfloat16 tie, even above"),
    (0x3F807FFF, "one below a bfloat16 tie"),
    (0x3F808001, "one above a bfloat16 tie"),
    (0x3F817FFF, "one below a bfloat16 tie, odd below"),
    (0x3F818001, "one above a bfloat16 tie, odd below"),
    (0x3FFF8000, "bfloat16 tie that carries into the exponent"),
    (0x3FFFFFFF, "largest below 2"),
    (0x7F7F0000, "largest bfloat16"),
    (0x7F7F7FFF, "largest float32 that stays finite in bfloat16"),
    (0x7F7F8000, "bfloat16 tie that rounds to infinity"),
    (0x7F7FFFFF, "largest float32"),
    (0xFF7FFFFF, "-largest float32"),
    (0x00800000, "smallest normal float32"),
    (0x007FFFFF, "largest subnormal float32"),
    (0x00000001, "smallest subnormal float32"),
    (0x80000001, "-smallest subnormal float32"),
    (0x00008000, "tie of zero and the smallest bfloat16"),
    (0x00008001, "just above that tie"),
    (0x00010000, "smallest subnormal bfloat16"),
    (0x00018000, "tie of two subnormal bfloat16"),
    (0x80018000, "negative tie of two subnormal bfloat16"),
    # float16: 13 bits are dropped, 0x1000 is the tie
    (0x3F801000, "float16 tie, even below"),
    (0x3F803000, "float16 tie, even above"),
    (0xBF801000, "negative float16 tie, even below"),
    (0xBF803000, "negative float16 tie, even above"),
    (0x3F800FFF, "one below a float16 tie"),
    (0x3F801001, "one above a float16 tie"),
    (0x3FFFF000, "float16 tie that carries into the exponent"),
    (0x45001000, "2049: float16 tie, even below"),
    (0x45803000, "4102: float16 tie, even above"),
    (0x477FE000, "65504, largest float16"),
    (0x477FEFFF, "largest float32 that stays finite in float16"),
    (0x477FF000, "65520: float16 tie that rounds to infinity"),
    (0xC77FF000, "-65520"),
    (0x47800000, "65536"),
    (0x38800000, "2^-14, smallest normal float16"),
    (0x387FC000, "largest subnormal float16"),
    (0x387FE000, "tie of the largest subnormal and the smallest normal float16"),
    (0x387FDFFF, "one below that tie"),
    (0x33800000, "2^-24, smallest subnormal float16"),
    (0x33000000, "2^-25: tie of zero and the smallest float16"),
    (0x33000001, "just above 2^-25"),
    (0x32FFFFFF, "just below 2^-25"),
    (0xB3000000, "-2^-25: becomes -0"),
    (0xB3000001, "just below -2^-25"),
    (0x33C00000, "3 * 2^-25: tie of two subnormal float16"),
    (0x34200000, "5 * 2^-25: tie of two subnormal float16"),
    (0x387F1234, "an ordinary subnormal float16"),
]


def write_dtype():
    rows = []
    for bits, why in TRICKY_FLOATS:
        single = torch.tensor([bits - (bits >> 31 << 32)], dtype=torch.int32).view(torch.float32)
        bfloat = single.to(torch.bfloat16).view(torch.int16).item() & 0xFFFF
        half = single.to(torch.float16).view(torch.int16).item() & 0xFFFF
        # Two independent opinions: numpy's float16, and bfloat16 as integer arithmetic on the bits.
        value = numpy.frombuffer(struct.pack("<I", bits), dtype=numpy.float32)
        with numpy.errstate(over="ignore", under="ignore"):
            assert half == int(value.astype(numpy.float16).view(numpy.uint16)[0]), why
        assert bfloat == (bits + 0x7FFF + (bits >> 16 & 1)) >> 16, why
        rows.append({"float32": f"{bits:08x}", "bfloat16": f"{bfloat:04x}", "float16": f"{half:04x}", "why": why})
    write_json("dtype.json", {"values": rows})


# --------------------------------------------------------------------------------------------------- files


def write_json(name, content):
    """One line for each key of the outer object, and for each element of a list of objects or an object of objects."""

    def lines(value, indent):
        nested = isinstance(value, dict) and any(isinstance(item, dict) for item in value.values())
        rows = isinstance(value, list) and any(isinstance(item, dict) for item in value)
        if value is content or nested:
            inner = [f"{indent}  {json.dumps(key)}: {lines(item, indent + '  ')}" for key, item in value.items()]
            return "{\n" + ",\n".join(inner) + f"\n{indent}}}"
        if rows:
            return "[\n" + ",\n".join(f"{indent}  {json.dumps(item)}" for item in value) + f"\n{indent}]"
        return json.dumps(value, allow_nan=False)

    (FOLDER / name).write_text(lines(content, "") + "\n")


# -------------------------------------------------------------------------------------------- transformers


def in_transformers(config):
    """The model of a case in transformers, loaded from a folder with its weights."""
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        weights = {key: p.detach() for key, p in initial_parameters(config, torch.float32).items()}
        save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        (Path(folder) / "config.json").write_text(json.dumps(config))
        model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model


def write_checkpoints():
    for name in CHECKPOINTS:
        folder = FOLDER / "checkpoints" / name
        in_transformers(CASES[name][0]).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)


def check_transformers():
    """transformers' model of each case must give this script's logits and loss."""
    for name, (config, batch, positions) in CASES.items():
        parameters = initial_parameters(config, torch.float32)
        tokens = make_tokens(batch, positions, config["vocab_size"])
        logits = forward(parameters, config, tokens[:, :-1])
        model = in_transformers(config)
        with torch.no_grad():
            theirs = model(tokens[:, :-1]).logits
        torch.testing.assert_close(theirs, logits.detach(), rtol=1e-5, atol=1e-5)
        difference = (theirs - logits).abs().max().item()
        loss_difference = abs(loss_of(theirs, tokens[:, 1:]).item() - loss_of(logits, tokens[:, 1:]).item())
        print(f"{name}: largest difference of logits {difference:.2e}, of the loss {loss_difference:.2e}")


def main():
    parser = argparse.ArgumentParser(description="Makes the golden files beside this script.")
    parser.add_argument("--check-transformers", action="store_true", help="compare with transformers, write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.check_transformers:
        check_transformers()
        return
    for name, (config, batch, positions) in CASES.items():
        write_case(name, config, batch, positions)
    write_checkpoints()
    write_ops()
    write_rotary_frequencies()
    write_dtype()


if __name__ == "__main__":
    main()
