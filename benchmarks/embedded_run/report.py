"""report.py WORK OUTPUT: validation loss over the corpus's floor as OUTPUT.md and OUTPUT.svg, from WORK/data/corpus.json,
WORK/run/metrics.jsonl and WORK/samples.txt."""

import json
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent))
import loss_curves


def main():
    work, output = pathlib.Path(sys.argv[1]), sys.argv[2]
    entries = loss_curves.read_metrics(work / "run/metrics.jsonl")
    evaluations = [e for e in entries if "val_loss" in e]
    training = {e["iter"]: e["loss"] for e in entries if "loss" in e}
    corpus = json.loads((work / "data/corpus.json").read_text())
    floor, floor_bits = corpus["validation"]["nats_per_token"], corpus["validation"]["bits_per_byte"]
    samples = (work / "samples.txt").read_text().strip()
    rows = "\n".join(f"| {e['iter']} | {e['train_loss']:.4f} | {e['val_loss']:.4f} | {e['val_loss'] - floor:.4f} | "
                     f"{e['val_bits_per_byte']:.4f} |" for e in evaluations if e["iter"] % 200 == 0)
    with open(output + ".md", "w") as file:
        file.write(f"""# A run on the embedded corpus

The reference model, in bfloat16, on {corpus['training']['stories']:,} stories of the embedded corpus: {max(training):,}
iterations of 8,192 tokens, so that no story is seen twice. No model can have a lower validation loss than the corpus's
entropy, {floor:.4f} nats per token or {floor_bits:.4f} bits per byte ([llama.md](llama.md) says why).

| iteration | train loss | validation loss | above the floor | bits per byte |
| ---: | ---: | ---: | ---: | ---: |
{rows}

![losses](embedded_run.svg)

Three stories by the model, at temperature 0.8, as they came:

```
{samples}
```

Made with `benchmarks/embedded_run/run.sh`.
""")
    with open(output + ".svg", "w") as file:
        last = max(training)
        file.write(loss_curves.svg(
            "Loss on the embedded corpus, nats per token, by iteration",
            [("training", "#94a3b8", {i: loss for i, loss in training.items() if i % 10 == 0}),
             ("validation", "#c2410c", {e["iter"]: e["val_loss"] for e in evaluations}),
             ("floor: the corpus's entropy", "#0f766e", {0: floor, last: floor})],
            [0.2, 0.3, 0.5, 1, 2, 4, 8], logarithmic=True))


main()
