"""Runs cria, PyTorch and, on the CPU, JAX in turn on the same training step and writes comparison.{json,md,svg}."""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
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
    graphs = [("cria", [])]
    if options.device == "cuda":
        graphs = [("cria", ["--graph=on"]), ("cria, no graph", ["--graph=off"])]
    for batch in options.batches:
        for dtype in options.dtypes:
            arguments = [f"--dtype={dtype}", f"--batch={batch}", f"--steps={options.steps}"]
            for name, graph in graphs:
                yield name, dtype, batch, [options.cria, *arguments, *graph]
            for name, command in beside if dtype != "float16" else []:  # theirs would need a scaler
                yield name, dtype, batch, [*command, *arguments]


def measure(what, command, preload, limit):
    """What the program printed; None, and why on standard output, if it failed or took longer than `limit` seconds."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count()))
    if preload and command[0] == sys.executable:
        environment["LD_PRELOAD"] = preload
    # Files, since a program that is stopped may leave others that keep a pipe open.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            exit_code = subprocess.run(command, env=environment, stdout=output, stderr=errors, timeout=limit).returncode
        except subprocess.TimeoutExpired:
            print(f"{what} was stopped after {limit:g} s", flush=True)
            return None
        output.seek(0)
        errors.seek(0)
        if exit_code == 0:
            result = json.loads(output.read().strip().splitlines()[-1])
            result["tokens_per_s"] = result["tokens"] / statistics.median(result["seconds"][1:])
            return result
        said = errors.read().strip()[-2000:]
        print(f"{what} failed: {said.splitlines()[-1] if said else exit_code}\n{said}", flush=True)
        return None


def summary(runs):
    """One entry for each program, dtype and batch that ended: medians over the rounds, and the ratio to cria round by
    round. `runs` has for each of them its results, one a round."""
    rows = []
    for (name, dtype, batch), results in runs.items():
        ended = [result for result in results if result]
        if not ended:
            continue
        median = lambda key: statistics.median(result[key] for result in ended)
        ratios = [cria["tokens_per_s"] / result["tokens_per_s"]
                  for cria, result in zip(runs["cria", dtype, batch], results) if cria and result]
        row = {"program": name, "library": ended[0]["library"], "dtype": dtype, "batch": batch,
               "tokens_per_s": round(median("tokens_per_s")), "rss_mb": round(median("rss_mb"))}
        if ratios:
            row["cria_over_it"] = round(statistics.median(ratios), 2)
        if "device_mb" in ended[0]:
            row["device_mb"] = round(median("device_mb"))
        if "bound_tokens_per_s" in ended[0]:
            shares = [result["tokens_per_s"] / result["bound_tokens_per_s"] for result in ended]
            row["share_of_bound"] = round(statistics.median(shares), 3)
        rows.append(row)
    return rows


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())


def markdown(rows, rounds, machine):
    lines = [f"{machine}, {date.today()}; medians of {rounds} round{'s' if rounds > 1 else ''} in turn, the first step "
             "of each run left out. The bound is the time of the step's matrix products alone.", "",
             "| program | dtype | batch | tokens/s | cria is faster by | share of the bound | peak memory |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in rows:
        bound = f"{100 * row['share_of_bound']:.0f} %" if "share_of_bound" in row else ""
        faster = f"{row['cria_over_it']:.2f}" if row["program"] != "cria" and "cria_over_it" in row else ""
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


def write(options, runs):
    """What has been measured so far."""
    rows = summary(runs)
    if not rows:
        return
    rounds = max(len(results) for results in runs.values())
    facts = {"date": str(date.today()), "processor": options.machine, "cores": os.cpu_count(), "rows": rows}
    page = ("# cria beside PyTorch and JAX\n\n" + markdown(rows, rounds, options.machine) + "\nMade with "
            "`benchmarks/compare/run.sh`.\n\n![tokens a second](comparison.svg)\n")
    for name, text in (("json", json.dumps(facts, indent=1) + "\n"), ("md", page), ("svg", svg(rows))):
        new = options.output / f"comparison.{name}.new"
        new.write_text(text)
        new.replace(options.output / f"comparison.{name}")  # so that it is whole for whoever reads it meanwhile


def main():
    words = lambda text: text.split(",")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cria", required=True, help="the program cria_llama")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batches", type=lambda text: [int(each) for each in words(text)], default=[16, 128])
    parser.add_argument("--dtypes", type=words, default=["float32", "bfloat16", "float16"])
    parser.add_argument("--preload", default="", help="an allocator for the Python programs (jemalloc)")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one program")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of PyTorch; cria's is its program's")
    parser.add_argument("--machine", default=f"{processor()}, {os.cpu_count()} cores", help="what the table names it")
    parser.add_argument("--output", type=Path, default=DOCS, help="the folder to write to")
    options = parser.parse_args()
    measured = list(programs(options))
    runs = {}
    for number in range(options.rounds):
        for name, dtype, batch, command in measured:
            result = measure(f"{name}, {dtype}, batch {batch}", command, options.preload, options.limit)
            runs.setdefault((name, dtype, batch), []).append(result)
            if result:
                print(f"round {number + 1}/{options.rounds}  {name:<17} {dtype:<9} batch {batch:<4} "
                      f"{result['tokens_per_s']:>8,.0f} tokens/s {memory(result):>7,} MB", flush=True)
            write(options, runs)  # even if the next one takes the machine down
    print("\n" + markdown(summary(runs), options.rounds, options.machine))
    if any(None in results for results in runs.values()):
        raise SystemExit("error: a program failed; what it said is above")


main()
