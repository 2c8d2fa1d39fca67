"""plot.py METRICS LOG OUTPUT: losses of a run (metrics.jsonl) beside those of the original log, as OUTPUT.md and OUTPUT.svg."""

import json
import re
import sys

WIDTH, HEIGHT, LEFT, TOP = 720, 380, 60, 50
LINE = re.compile(r"(\d+) \| loss ([\d.]+) \| lr (\S+) \|")


def read_metrics(path):
    with open(path) as lines:
        entries = [json.loads(line) for line in lines]
    return {e["iter"]: (e["loss"], f"{e['lr']:e}", e["ms"], e["tokens_per_s"]) for e in entries if "loss" in e}


def read_log(path):
    with open(path) as lines:
        found = [LINE.match(line) for line in lines]
    return {int(m[1]): (float(m[2]), m[3]) for m in found if m}


def svg(curves):
    last = max(max(curve) for _, _, curve in curves)
    values = [loss for _, _, curve in curves for loss in curve.values()]
    low, high = min(values) - 0.1, max(values) + 0.1
    x = lambda iteration: LEFT + (WIDTH - LEFT - 20) * iteration / last
    y = lambda loss: TOP + (HEIGHT - TOP - 40) * (high - loss) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
             'font-size="13"><rect width="100%" height="100%" fill="white"/>'
             '<text x="10" y="24" font-size="16">Training loss of the reference run, by iteration</text>']
    for step in range(int(low * 2) + 1, int(high * 2) + 1):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y(step / 2):.1f}" y2="{y(step / 2):.1f}" stroke="#e2e8f0"/>'
                     f'<text x="{LEFT - 8}" y="{y(step / 2) + 4:.1f}" text-anchor="end">{step / 2}</text>')
    for iteration in range(0, last + 1, 20):
        parts.append(f'<text x="{x(iteration):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{iteration}</text>')
    for number, (name, color, curve) in enumerate(curves):
        points = " ".join(f"{x(i):.1f},{y(loss):.1f}" for i, loss in sorted(curve.items()))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
                     f'<text x="{WIDTH - 30}" y="{TOP + 20 * number}" fill="{color}" text-anchor="end">{name}</text>')
    return "".join(parts) + "</svg>\n"


def main():
    metrics, log = read_metrics(sys.argv[1]), read_log(sys.argv[2])
    output = sys.argv[3]
    shared = sorted(set(metrics) & set(log))
    equal = sum(metrics[i][1] == log[i][1] for i in shared)
    seconds = sorted(metrics[i][2] for i in shared)[len(shared) // 2] / 1e3
    speed = sorted(metrics[i][3] for i in shared)[len(shared) // 2]
    rows = "\n".join(f"| {i} | {metrics[i][0]:.4f} | {log[i][0]:.4f} | {metrics[i][1]} | {log[i][1]} |"
                     for i in shared if i % 10 == 0)
    with open(output + ".md", "w") as file:
        file.write(f"""# The reference run

The first {len(shared)} iterations of `configs/reference.toml` (131,072 tokens each, bfloat16) beside the log of the
original, which had the whole of TinyStories on a GPU. cria had a sample of 243 thousand tokens, which it went through 54
times at a tiny learning rate: a comparison of curves. {equal} of {len(shared)} learning rates are equal to the last
printed digit. An iteration took {seconds:.1f} s on two cores ({speed:,.0f} tokens/s).

| iteration | loss | loss of the original | learning rate | of the original |
| ---: | ---: | ---: | ---: | ---: |
{rows}

![losses](reference_run.svg)

Made with `benchmarks/reference_run/run.sh`.
""")
    with open(output + ".svg", "w") as file:
        file.write(svg([("cria, on a sample", "#c2410c", {i: metrics[i][0] for i in shared}),
                        ("the original, on all of TinyStories", "#64748b", {i: log[i][0] for i in shared})]))


main()
