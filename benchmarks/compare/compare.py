"""Runs cria, PyTorch and, on the CPU, JAX in turn on the same training step and writes comparison.{json,md,svg}."""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"


def peers(device):
    """Name and command of what is measured beside cria. A GPU may be measured without PyTorch."""
    torch = [sys.executable, str(HERE / "torch_llama.py"), f"--device={device}"]
    both = [("PyTorch", torch), ("PyTorch compiled", [*torch, "--compile"])]
    if device == "cpu":
        return [*both, ("JAX", [sys.executable, str(HERE / "jax_llama.py")])]
    if importlib.util.find_spec("torch"):
        return both
    print("PyTorch is left out: Python has no module torch", flush=True)
    return []


def programs(options):
    """Name, dtype, batch and command of everything that is measured, in the order of the table."""
    beside = peers(options.device)
    for batch in options.batches:
        for dtype in ("float32", "bfloat16", "float16"):
            arguments = [f"--dtype={dtype}", f"--batch={batch}", f"--steps={options.steps}"]
            yield "cria", dtype, batch, [options.cria, *arguments]
            for name, command in beside if dtype != "float16" else []:  # theirs would need a scaler
                yield name, dtype, batch, [*command, *arguments]


def measure(command, preload):
    environment = dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count()))
    if preload and command[0] == sys.executable:
        environment["LD_PRELOAD"] = preload
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["tokens_per_s"] = result["tokens"] / statistics.median(result["seconds"][1:])
    return result


def summary(rounds):
    """One entry for each program, dtype and batch: medians over the rounds, and the ratio to cria round by round."""
    rows = []
    for index, first in enumerate(rounds[0]):
        runs = [entries[index] for entries in rounds]
        cria = [next(e for e in entries if e["program"] == "cria" and e["dtype"] == first["dtype"]
                     and e["batch"] == first["batch"]) for entries in rounds]
        median = lambda values: statistics.median(values)
        row = {"program": first["program"], "library": first["library"], "dtype": first["dtype"],
               "batch": first["batch"], "tokens_per_s": round(median([r["tokens_per_s"] for r in runs])),
               "cria_over_it": round(median([c["tokens_per_s"] / r["tokens_per_s"] for c, r in zip(cria, runs)]), 2),
               "rss_mb": round(median([r["rss_mb"] for r in runs]))}
        if "device_mb" in first:
            row["device_mb"] = round(median([r["device_mb"] for r in runs]))
        if "bound_tokens_per_s" in first:
            row["share_of_bound"] = round(median([r["tokens_per_s"] / r["bound_tokens_per_s"] for r in runs]), 3)
        rows.append(row)
    return rows


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())


def markdown(rows, rounds):
    lines = [f"{processor()}, {os.cpu_count()} cores, {date.today()}; medians of {rounds} rounds in turn, the first step "
             "of each run left out. The bound is the time of the step's matrix products alone.", "",
             "| program | dtype | batch | tokens/s | cria is faster by | share of the bound | peak memory |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in rows:
        bound = f"{100 * row['share_of_bound']:.0f} %" if "share_of_bound" in row else ""
        faster = "" if row["program"] == "cria" else f"{row['cria_over_it']:.2f}"
        lines.append(f"| {row['program']} ({row['library']}) | {row['dtype']} | {row['batch']} | "
                     f"{row['tokens_per_s']:,} | {faster} | {bound} | {memory(row):,} MB |")
    return "\n".join(lines) + "\n"


def memory(result):
    """Of the device where there is one, else of the process."""
    return result.get("device_mb", result["rss_mb"])


def svg(rows):
    """Bars of tokens/s, a group for each dtype and batch."""
    left, width, bar, gap, top = 170, 460, 20, 18, 34
    most = max(row["tokens_per_s"] for row in rows)
    parts, y, group = [], top, None
    for row in rows:
        if group != (row["batch"], row["dtype"]):
            group = (row["batch"], row["dtype"])
            y += gap
            parts.append(f'<text x="10" y="{y}" font-weight="bold">{row["dtype"]}, batch {row["batch"]}</text>')
            y += 8
        length = width * row["tokens_per_s"] / most
        color = "#c2410c" if row["program"] == "cria" else "#94a3b8"
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{row["program"]}</text>'
                     f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar}" fill="{color}"/>'
                     f'<text x="{left + length + 6:.1f}" y="{y + 15}">{row["tokens_per_s"]:,}</text>')
        y += bar + 4
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{y + 14}" font-family="sans-serif" '
            f'font-size="13"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="10" y="24" font-size="16">Training the reference Llama: tokens a second</text>{"".join(parts)}</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cria", required=True, help="the program cria_llama")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batches", type=lambda text: [int(each) for each in text.split(",")], default=[16, 128])
    parser.add_argument("--preload", default="", help="an allocator for the Python programs (jemalloc)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of PyTorch; cria's is its program's")
    parser.add_argument("--output", type=Path, default=DOCS, help="the folder to write to")
    options = parser.parse_args()
    measured = list(programs(options))
    rounds = []
    for number in range(options.rounds):
        rounds.append([])
        for name, dtype, batch, command in measured:
            result = measure(command, options.preload)
            rounds[-1].append(result)
            print(f"round {number + 1}/{options.rounds}  {name:<17} {dtype:<9} batch {batch:<4} "
                  f"{result['tokens_per_s']:>8,.0f} tokens/s {memory(result):>7,} MB", flush=True)
    rows = summary(rounds)
    table = markdown(rows, options.rounds)
    facts = {"date": str(date.today()), "processor": processor(), "cores": os.cpu_count(), "rows": rows}
    (options.output / "comparison.json").write_text(json.dumps(facts, indent=1) + "\n")
    (options.output / "comparison.md").write_text("# cria beside PyTorch and JAX\n\n" + table + "\nMade with "
                                                  "`benchmarks/compare/run.sh`.\n\n![tokens a second](comparison.svg)\n")
    (options.output / "comparison.svg").write_text(svg(rows))
    print("\n" + table)


main()
