"""report.py METRICS DATA LOG OUTPUT MACHINE: losses of a run (its metrics.jsonl, of the folder DATA, on a MACHINE such as
"two cores") beside those of the original log, as OUTPUT.md and OUTPUT.svg."""

import json
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
    metrics_path, data, log_path, output, machine = sys.argv[1:]
    metrics, log = read_metrics(metrics_path), read_log(log_path)
    corpus = json.loads((pathlib.Path(data) / "corpus.json").read_text())
    tokens = corpus["training"]["tokens"]
    sample = "the embedded corpus" if corpus["source"] == "embedded" else "a sample"
    shared = sorted(set(metrics) & set(log))
    equal = sum(metrics[i][1] == log[i][1] for i in shared)
    seconds = sorted(metrics[i][2] for i in shared)[len(shared) // 2] / 1e3
    speed = sorted(metrics[i][3] for i in shared)[len(shared) // 2]
    rows = "\n".join(f"| {i} | {metrics[i][0]:.4f} | {log[i][0]:.4f} | {metrics[i][1]} | {log[i][1]} |"
                     for i in shared if i % 10 == 0)
    with open(output + ".md", "w") as file:
        file.write(f"""# The reference run

The first {len(shared)} iterations of `configs/reference.toml` (131,072 tokens each, bfloat16) beside the log of the
original, which had the whole of TinyStories on a GPU. cria had {sample} of {tokens / 1e3:,.0f} thousand tokens, which it
went through {len(shared) * 131072 / tokens:.0f} times at a tiny learning rate: a comparison of curves. {equal} of {len(shared)} learning rates are equal to the last
printed digit. An iteration took {seconds:.3g} s on {machine} ({speed:,.0f} tokens/s).

| iteration | loss | loss of the original | learning rate | of the original |
| ---: | ---: | ---: | ---: | ---: |
{rows}

![losses]({pathlib.Path(output).name}.svg)

Made with `benchmarks/reference_run/run.sh`.
""")
    with open(output + ".svg", "w") as file:
        file.write(loss_curves.svg(
            "Training loss of the reference run, by iteration",
            [(f"cria, on {sample}", "#c2410c", {i: metrics[i][0] for i in shared}),
             ("the original, on all of TinyStories", "#64748b", {i: log[i][0] for i in shared})],
            [tick / 2 for tick in range(40)]))


main()
