"""The reference Llama trained by PyTorch on random tokens; prints one JSON object."""

import argparse
import contextlib
import json
import resource
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise SystemExit(f"error: Python has no module {error.name}; pip install torch") from None

VOCABULARY, WIDTH, LAYERS, HEADS, KV_HEADS, HIDDEN, LENGTH = 4096, 288, 8, 8, 2, 768, 256
HEAD_DIM = WIDTH // HEADS


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


class RmsNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)
        return wide.type_as(x) * self.weight


def rotate(x, cosine, sine):  # x [batch, heads, length, head_dim], halves of a head are turned together
    first, second = x.float().chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1).type_as(x)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_norm, self.post_norm = RmsNorm(), RmsNorm()
        self.q, self.o = linear(WIDTH, WIDTH), linear(WIDTH, WIDTH)
        self.k, self.v = linear(WIDTH, KV_HEADS * HEAD_DIM), linear(WIDTH, KV_HEADS * HEAD_DIM)
        self.gate, self.up, self.down = linear(WIDTH, HIDDEN), linear(WIDTH, HIDDEN), linear(HIDDEN, WIDTH)

    def forward(self, x, cosine, sine):
        batch, length, _ = x.shape
        heads = lambda y, count: y.view(batch, length, count, HEAD_DIM).transpose(1, 2)
        h = self.input_norm(x)
        q = rotate(heads(self.q(h), HEADS), cosine, sine)
        k = rotate(heads(self.k(h), KV_HEADS), cosine, sine).repeat_interleave(HEADS // KV_HEADS, 1)
        v = heads(self.v(h), KV_HEADS).repeat_interleave(HEADS // KV_HEADS, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(batch, length, WIDTH))
        h = self.post_norm(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = RmsNorm()
        angles = torch.outer(torch.arange(LENGTH), 10000.0 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM))
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, 0.0, 0.02)

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine)
        logits = functional.linear(self.norm(x), self.embedding.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--compile", nargs="?", const="default", choices=("default", "max-autotune"),
                        help="torch.compile's mode")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        raise SystemExit("error: PyTorch finds no device; check nvidia-smi, and that torch was built for CUDA")
    if on_gpu:
        torch.set_float32_matmul_precision("high")  # TF32, as cria does
    torch.set_num_threads(options.threads)
    torch.manual_seed(1337)
    model = Llama().to(options.device)
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=5e-4, betas=(0.9, 0.95), fused=True)
    loss_of = torch.compile(model, mode=options.compile) if options.compile else model
    precision = (contextlib.nullcontext() if options.dtype == "float32"
                 else torch.autocast(options.device, dtype=getattr(torch, options.dtype)))
    tokens = torch.randint(0, VOCABULARY, (options.batch, LENGTH + 1), generator=torch.Generator().manual_seed(1))
    tokens = tokens.to(options.device)
    seconds, losses = [], []
    for _ in range(options.steps):
        start = time.perf_counter()
        with precision:
            loss = loss_of(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    device_memory = {"device_mb": torch.cuda.max_memory_allocated() >> 20} if on_gpu else {}
    print(json.dumps({"program": "PyTorch compiled" if options.compile else "PyTorch", "library": torch.__version__,
                      "dtype": options.dtype, "batch": options.batch, "tokens": options.batch * LENGTH,
                      "seconds": seconds, "losses": losses,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} | device_memory))


main()
