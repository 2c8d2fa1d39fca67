"""Writes tokens with the Llama whose weights generation.cpp has put into a file, by PyTorch, each the likeliest:
torch_llama.py <weights> [<tokens>]. Keys and values lie in tensors for all positions, as in cria."""

import sys
import time

import numpy
import torch
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu


class Llama:
    def __init__(self, path):
        sizes = numpy.fromfile(path, dtype=numpy.int32, count=7).tolist()
        self.vocab, self.dim, self.hidden, self.layers, self.heads, self.kv_heads, self.positions = sizes
        self.size = self.dim // self.heads
        weights = torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32, offset=28))
        kv = self.kv_heads * self.size
        place = 0

        def take(*shape):
            nonlocal place
            count = int(numpy.prod(shape))
            place += count
            return weights[place - count : place].view(*shape)

        self.embedding = take(self.vocab, self.dim)
        self.blocks = [
            {
                "attention_norm": take(self.dim),
                "q": take(self.dim, self.dim),
                "k": take(kv, self.dim),
                "v": take(kv, self.dim),
                "o": take(self.dim, self.dim),
                "mlp_norm": take(self.dim),
                "gate": take(self.hidden, self.dim),
                "up": take(self.hidden, self.dim),
                "down": take(self.dim, self.hidden),
            }
            for _ in range(self.layers)
        ]
        self.norm = take(self.dim)
        frequency = 10000.0 ** (-torch.arange(0, self.size, 2) / self.size)
        angle = torch.outer(torch.arange(self.positions).float(), frequency).repeat(1, 2)
        self.cos, self.sin = angle.cos(), angle.sin()

    def rotate(self, x, position):
        half = self.size // 2
        turned = torch.cat((-x[..., half:], x[..., :half]), -1)
        return x * self.cos[position] + turned * self.sin[position]

    def write(self, tokens):
        keys = torch.zeros(self.layers, 1, self.kv_heads, tokens, self.size)
        values = torch.zeros_like(keys)
        text = [1]
        for t in range(tokens):
            x = self.embedding[text[-1]]
            for index, block in enumerate(self.blocks):
                h = rms_norm(x, (self.dim,), block["attention_norm"], 1e-5)
                q = self.rotate(linear(h, block["q"]).view(1, self.heads, 1, self.size), t)
                keys[index, 0, :, t] = self.rotate(linear(h, block["k"]).view(self.kv_heads, self.size), t)
                values[index, 0, :, t] = linear(h, block["v"]).view(self.kv_heads, self.size)
                y = scaled_dot_product_attention(
                    q, keys[index, :, :, : t + 1], values[index, :, :, : t + 1], enable_gqa=self.heads != self.kv_heads
                )
                x = x + linear(y.reshape(-1), block["o"])
                h = rms_norm(x, (self.dim,), block["mlp_norm"], 1e-5)
                x = x + linear(silu(linear(h, block["gate"])) * linear(h, block["up"]), block["down"])
            text.append(int(linear(rms_norm(x, (self.dim,), self.norm, 1e-5), self.embedding).argmax()))
        return text


def main():
    tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    model = Llama(sys.argv[1])
    best, text = 1e9, []
    with torch.inference_mode():
        for _ in range(3):
            begin = time.perf_counter()
            text = model.write(tokens)
            best = min(best, time.perf_counter() - begin)
    print(f"PyTorch float32: {tokens / best:.0f} tokens/s; " + " ".join(map(str, text[1:9])))


main()
