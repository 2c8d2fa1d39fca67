"""Losses over iterations, from metrics.jsonl to an SVG picture."""

import json
import math

WIDTH, HEIGHT, LEFT, TOP = 720, 380, 60, 50


def read_metrics(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def svg(title, curves, ticks, logarithmic=False, note_y=TOP):
    """curves: (name, color, {iteration: loss}); ticks: losses to be marked; the legend begins at note_y."""
    scale = math.log if logarithmic else float
    last = max(max(curve) for _, _, curve in curves)
    values = [scale(loss) for _, _, curve in curves for loss in curve.values()]
    margin = (max(values) - min(values)) / 25
    low, high = min(values) - margin, max(values) + margin
    x = lambda iteration: LEFT + (WIDTH - LEFT - 20) * iteration / last
    y = lambda loss: TOP + (HEIGHT - TOP - 40) * (high - scale(loss)) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
             'font-size="13"><rect width="100%" height="100%" fill="white"/>'
             f'<text x="10" y="24" font-size="16">{title}</text>']
    for tick in ticks:
        if low <= scale(tick) <= high:
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#e2e8f0"/>'
                         f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for part in range(6):
        iteration = last * part // 5
        parts.append(f'<text x="{x(iteration):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{iteration}</text>')
    for number, (name, color, curve) in enumerate(curves):
        points = " ".join(f"{x(i):.1f},{y(loss):.1f}" for i, loss in sorted(curve.items()))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
                     f'<text x="{WIDTH - 30}" y="{note_y + 20 * number}" fill="{color}" text-anchor="end">{name}</text>')
    return "".join(parts) + "</svg>\n"
