"""Writes what run.sh found: report.py FOLDER TEXT OUTPUT."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from loss_curves import read_metrics, svg


def validation(folder):
    return {entry["iter"]: entry["val_loss"] for entry in read_metrics(folder / "metrics.jsonl") if "val_loss" in entry}


def seconds_an_iteration(folder):
    times = sorted(entry["ms"] for entry in read_metrics(folder / "metrics.jsonl") if "loss" in entry)
    return times[len(times) // 2] / 1000


def main():
    work, text, output = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    runs = {folder.name: validation(folder) for folder in sorted(work.iterdir()) if (folder / "metrics.jsonl").exists()}
    last = max(max(curve) for curve in runs.values())
    best = {optimizer: min((name for name in runs if name.startswith(optimizer)), key=lambda name: runs[name][last])
            for optimizer in ("adamw", "muon")}
    goal = runs[best["adamw"]][last]
    reached = min(i for i, loss in runs[best["muon"]].items() if loss <= goal)
    shown = [last // 4, last // 2, 3 * last // 4, last]
    rows = "\n".join(
        f"| {'**' if name in best.values() else ''}{name.split('-', 1)[0]}{'**' if name in best.values() else ''} | "
        f"{name.split('-', 1)[1]} | " + " | ".join(f"{curve[i]:.4f}" for i in shown) + " | "
        f"{1000 * seconds_an_iteration(work / name):.0f} |" for name, curve in runs.items())
    output.with_suffix(".md").write_text(f"""# Muon beside AdamW

Validation losses of a model of a million weights (`--dim=128 --n_layers=4`) that learns {text}: {last} iterations
of 4,096 tokens with a cosine schedule, at three learning rates each; the best of each in bold. AdamW ends at {goal:.4f}, and
Muon is there at iteration {reached}.

| optimiser | learning rate | {" | ".join(f"iteration {i}" for i in shown)} | ms an iteration |
| --- | ---: |{" ---: |" * (len(shown) + 1)}
{rows}

![Validation losses of AdamW and Muon]({output.name}.svg)

Made with `benchmarks/optimizers/run.sh --text={text}`.
""")
    colors = {"adamw": "#64748b", "muon": "#c2410c"}
    curves = [(f"{optimizer}, learning rate {name.split('-', 1)[1]}", colors[optimizer],
               {i: loss for i, loss in runs[name].items() if i > 0}) for optimizer, name in best.items()]
    curves.append((f"where AdamW ends: Muon at iteration {reached}", "#94a3b8", {0: goal, last: goal}))
    output.with_suffix(".svg").write_text(svg(f"Validation loss, {text}", curves, [3, 3.5, 4, 4.5, 5, 5.5, 6]))


main()
