"""What `pretrain_llama plan` predicts, as an SVG picture: step time over GPUs, goodput over the time between saves.

    python3 benchmarks/scale/figure.py build/release/examples/pretrain_llama/pretrain_llama docs/scale.svg
"""

import math
import re
import subprocess
import sys

WIDTH, HEIGHT, LEFT, TOP, GAP = 430, 320, 60, 60, 30
UNITS = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "days": 86400}
GPUS = [64, 128, 256, 512, 1024, 2048]


def plan(program, *options):
    return subprocess.run([program, "plan", *options], check=True, capture_output=True, text=True).stdout


def seconds(number, unit):
    return float(number.replace(",", "")) * UNITS[unit]


def step(program, gpus):
    text = plan(program, "--model=70b", f"--gpus={gpus}", "--batch_size=2048").split("\nstep\n")[1]
    return seconds(*re.search(r"total +([\d.,]+) (\w+)", text).groups())


def goodput(program):
    text = plan(program, "--model=405b", "--gpus=16384", "--batch_size=2048").split("saves every")[1]
    rows = re.findall(r"^ +([\d.,]+) (\w+) +([\d.]+) %.*?([\d.]+) %(?:  <- most)?$", text, re.MULTILINE)
    times = [seconds(number, unit) for number, unit, _, _ in rows]
    return {t: float(row[2]) for t, row in zip(times, rows)}, {t: float(row[3]) for t, row in zip(times, rows)}


def panel(left, title, curves, x_ticks, y_ticks, logarithmic):
    """curves: (name, color, {x: y}); ticks: (value, text). x is logarithmic, y where it is said to be."""
    scale = math.log if logarithmic else float
    xs = [math.log(x) for _, _, curve in curves for x in curve]
    low, high = (scale(end) for end in (y_ticks[0][0], y_ticks[-1][0]))
    x = lambda value: left + LEFT + (WIDTH - LEFT - 20) * (math.log(value) - min(xs)) / (max(xs) - min(xs))
    y = lambda value: TOP + (HEIGHT - TOP - 40) * (high - scale(value)) / (high - low)
    parts = [f'<text x="{left + 10}" y="24" font-size="14">{title}</text>']
    for value, text in y_ticks:
        parts.append(f'<line x1="{left + LEFT}" x2="{left + WIDTH - 20}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
                     f'stroke="#e2e8f0"/><text x="{left + LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{text}</text>')
    for value, text in x_ticks:
        parts.append(f'<text x="{x(value):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{text}</text>')
    for number, (name, color, curve) in enumerate(curves):
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in sorted(curve.items()))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
                     f'<text x="{left + LEFT + 10 + 150 * number}" y="46" fill="{color}">{name}</text>')
    return "".join(parts)


def main(program, path):
    steps = {gpus: step(program, gpus) for gpus in GPUS}
    ideal = {gpus: steps[GPUS[0]] * GPUS[0] / gpus for gpus in GPUS}
    simulated, daly = goodput(program)
    first = panel(0, "Seconds a step of 16.8 million tokens, 70B, by H100",
                  [("predicted", "#2563eb", steps), ("as fast each", "#94a3b8", ideal)],
                  [(gpus, f"{gpus:,}") for gpus in GPUS], [(s, s) for s in (5, 10, 20, 50, 100, 200, 500)], True)
    second = panel(WIDTH + GAP, "Useful time, 405B on 16,384 H100, by time between saves",
                   [("simulated", "#2563eb", simulated), ("Daly 2006, no stragglers", "#94a3b8", daly)],
                   [(60, "1 min"), (240, "4 min"), (960, "16 min")], [(s, f"{s} %") for s in (80, 85, 90, 95)], False)
    with open(path, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH + GAP}" height="{HEIGHT}" '
                   'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
                   f"{first}{second}</svg>\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
