"""report.py METRICS LOG OUTPUT: losses of a run (metrics.jsonl) beside those of the original log, as OUTPUT.md and OUTPUT.svg."""

import pathlib
import re
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent))
import loss_curves

LINE = re.compile(r"(\d+) \| loss ([\d.]+) \| lr (\S+) \|")


def read_metrics(path):
    entries = loss_curves.read_metrics(path)
    return {e["iter"]: (e["loss"], f"{e['lr']:e}", e["ms"], e["tokens_per_s"]) for e in entries if "loss" in e}


def read_log(path):
    with open(path) as lines:
        found = [LINE.match(line) for line in lines]
    return {int(m[1]): (float(m[2]), m[3]) for m in found if m}


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
        file.write(loss_curves.svg(
            "Training loss of the reference run, by iteration",
            [("cria, on a sample", "#c2410c", {i: metrics[i][0] for i in shared}),
             ("the original, on all of TinyStories", "#64748b", {i: log[i][0] for i in shared})],
            [tick / 2 for tick in range(40)]))


main()
