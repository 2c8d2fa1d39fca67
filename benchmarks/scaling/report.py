"""report.py WORK OUTPUT: what run.sh measured as OUTPUT.md and OUTPUT.svg: losses above the corpus's floor, a law fitted to
them, and what it says of the rule of `pretrain_llama train --depth`."""

import json
import math
import re
import struct
import sys
from pathlib import Path

CONTEXT = 256
LEARNT = 0.4  # nats above the floor, below which runs follow a law; the others had too few iterations


class Run:
    def __init__(self, folder, floor):
        numbers = re.fullmatch(r"depth-(\d+)-tokens-(\d+)-batch-(\d+)-rate-([\d.]+)", folder.name).groups()
        self.depth, self.tokens, self.batch = int(numbers[0]), int(numbers[1]) * 1024, int(numbers[2])
        self.rate = float(numbers[3])
        self.loss = float(re.search(r"^loss (\S+)", (folder / "loss").read_text(), re.M)[1])
        self.excess = self.loss - floor
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        self.seconds = sum(line.get("ms", 0) for line in lines) / 1000
        with open(folder / "ckpt/model.safetensors", "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        self.parameters = sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
        config = json.loads((folder / "ckpt/config.json").read_text())
        attention = 12 * config["num_hidden_layers"] * config["hidden_size"] * CONTEXT
        self.operations = (6 * self.parameters + attention) * self.tokens


def fitted(runs):
    """A, alpha, B, beta of A N^-alpha + B D^-beta with the least squares of relative errors: a grid of exponents, for each of
    which the factors are a linear problem."""
    best = (math.inf, None)
    grid = [i / 100 for i in range(5, 301)]
    for alpha in grid:
        u = [run.parameters**-alpha / run.excess for run in runs]
        uu, u1 = sum(x * x for x in u), sum(u)
        for beta in grid:
            v = [run.tokens**-beta / run.excess for run in runs]
            uv, vv, v1 = sum(x * y for x, y in zip(u, v)), sum(y * y for y in v), sum(v)
            determinant = uu * vv - uv * uv
            if determinant <= 1e-9 * uu * vv:
                continue
            a, b = (u1 * vv - v1 * uv) / determinant, (v1 * uu - u1 * uv) / determinant
            if a > 0 and b > 0:
                error = sum((a * x + b * y - 1) ** 2 for x, y in zip(u, v))
                best = min(best, (error, (a, alpha, b, beta)))
    return best[1]


def excess_by(law, parameters, tokens):
    a, alpha, b, beta = law
    return a * parameters**-alpha + b * tokens**-beta


def best_parameters(law, operations):
    """Those of the lowest loss for so many operations, 6 for each parameter and token."""
    sizes = [10 ** (i / 200) for i in range(600, 2000)]
    return min(sizes, key=lambda size: excess_by(law, size, operations / 6 / size))


def svg(runs, law, title):
    width, height, left, top = 720, 420, 60, 50
    xs, ys = [run.operations for run in runs], [run.excess for run in runs]
    low_x, high_x, low_y, high_y = min(xs) / 1.3, max(xs) * 1.3, min(ys) / 1.2, max(ys) * 1.2
    x = lambda value: left + (width - left - 20) * math.log(value / low_x) / math.log(high_x / low_x)
    y = lambda value: height - 40 - (height - top - 40) * math.log(value / low_y) / math.log(high_y / low_y)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
             'font-size="13"><rect width="100%" height="100%" fill="white"/>'
             f'<text x="10" y="24" font-size="16">{title}</text>']
    for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2):
        if low_y <= tick <= high_y:
            parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#e2e8f0"/>'
                         f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for exponent in range(9, 20):
        if low_x <= 10**exponent <= high_x:
            parts.append(f'<text x="{x(10**exponent):.1f}" y="{height - 16}" text-anchor="middle">1e{exponent}</text>')
    parts.append(f'<text x="{width - 20}" y="{height - 2}" text-anchor="end">operations</text>')
    points_of = lambda points: " ".join(f"{x(u):.1f},{y(v):.1f}" for u, v in points)
    for number, depth in enumerate(sorted({run.depth for run in runs})):
        color = ("#64748b", "#0f766e", "#2563eb", "#c2410c", "#7c3aed")[number % 5]
        of_depth = sorted((run for run in runs if run.depth == depth), key=lambda run: run.tokens)
        of_law = points_of((run.operations, excess_by(law, run.parameters, run.tokens)) for run in of_depth)
        parts.append(f'<polyline points="{of_law}" fill="none" stroke="{color}" stroke-dasharray="4 4"/>')
        for run in of_depth:
            parts.append(f'<circle cx="{x(run.operations):.1f}" cy="{y(run.excess):.1f}" r="4" fill="{color}"/>')
        parts.append(f'<text x="{width - 30}" y="{top + 20 * number}" fill="{color}" text-anchor="end">depth {depth}, '
                     f'{of_depth[0].parameters:,} parameters</text>')
    return "".join(parts) + "</svg>\n"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + " ---: |" * len(head),
                      *("| " + " | ".join(row) + " |" for row in rows)])


def main():
    work, output = Path(sys.argv[1]), Path(sys.argv[2])
    floor = json.loads((work / "data/corpus.json").read_text())["validation"]["nats_per_token"]
    runs = [Run(folder, floor) for folder in sorted(work.glob("depth-*")) if (folder / "loss").exists()]
    series = sorted((run for run in runs if (run.batch, run.rate) == (8, 0.4)), key=lambda run: (run.depth, run.tokens))
    learnt = [run for run in series if run.excess < LEARNT]
    law = fitted(learnt)
    a, alpha, b, beta = law
    worst = max(abs(excess_by(law, run.parameters, run.tokens) / run.excess - 1) for run in learnt)
    rates = sorted((run for run in runs if run.batch == 8 and run.tokens == 1 << 20 and run.depth in (2, 3)),
                   key=lambda run: (run.depth, run.rate))
    batches = sorted((run for run in runs if run.rate == 0.4 and run.depth == 2 and run.tokens == 1 << 20),
                     key=lambda run: run.batch)
    budgets = []
    for exponent in (12, 13, 14):
        size = best_parameters(law, 10**exponent)
        tokens = 10**exponent / 6 / size
        budgets.append([f"1e{exponent}", f"{size:,.0f}", f"{tokens:,.0f}", f"{tokens / size:.0f}",
                        f"{excess_by(law, size, tokens):.3f}"])
    threads = json.loads((work / "depth-1-tokens-1024-batch-8-rate-0.4/ckpt/state.json").read_text())["options"]["threads"]
    minutes = sum(run.seconds for run in runs) / 60
    longest = max(run.operations for run in series)
    of_rule = next(10 ** (i / 50) for i in range(500, 1000)
                   if 10 ** (i / 50) / 6 / best_parameters(law, 10 ** (i / 50)) ** 2 >= 30)
    output.with_suffix(".md").write_text(f"""# Losses above a known floor

Models of `pretrain_llama train --depth=N` on the embedded corpus, whose entropy is known: {floor:.4f} nats per token of the
validation text ([llama.md](llama.md) says why). So the part of a loss that no model can be rid of is not fitted, as elsewhere,
but subtracted. Each row is a run of its own, with 2,048 tokens an iteration and a cosine schedule down to a tenth of the
learning rate, evaluated on all of the validation text in windows that are 64 tokens apart. Operations are
(6 N + 12 L dim T) for each token.

{table(["depth", "parameters", "tokens", "operations", "loss", "above the floor", "the law"],
       [[str(run.depth), f"{run.parameters:,}", f"{run.tokens:,}", f"{run.operations:.2e}", f"{run.loss:.4f}",
         f"{run.excess:.4f}", f"{excess_by(law, run.parameters, run.tokens):.4f}"] for run in series])}

![losses above the floor]({output.name}.svg)

The law is {a:.3g} N^-{alpha:.2f} + {b:.3g} D^-{beta:.2f} of N parameters and D tokens (Hoffmann et al. 2022, their third way),
fitted by least squares of relative errors to the {len(learnt)} runs that end less than {LEARNT} nats above the floor.
It is off by {100 * worst:.0f} % at most there, and dashed in the picture. The best model for a number of operations, as it
has it:

{table(["operations", "parameters", "tokens", "tokens per parameter", "above the floor"], budgets)}

Learning rates (times the width), on {1 << 20:,} tokens:

{table(["depth", "rate x dim", "loss", "above the floor"],
       [[str(run.depth), f"{run.rate:g}", f"{run.loss:.4f}", f"{run.excess:.4f}"] for run in rates])}

Sequences of 256 tokens in a batch, depth 2, on the same tokens:

{table(["sequences", "iterations", "loss", "above the floor"],
       [[str(run.batch), str(run.tokens // run.batch // CONTEXT), f"{run.loss:.4f}", f"{run.excess:.4f}"] for run in batches])}

What `--depth` takes from this: 30 tokens for each parameter, which the law has at {of_rule:.1e} operations (the longest run of
the series takes {longest:.1e}); a rate of 0.4 / dim, the best of three at both depths; and batches so small that a run has
some 2,000 iterations, as the fewer there are, the worse it ends.

Made with `benchmarks/scaling/run.sh`: {minutes:.0f} minutes of training with --threads={threads}.
""")
    output.with_suffix(".svg").write_text(svg(series, law, "Loss above the floor, nats per token, by operations"))


main()
