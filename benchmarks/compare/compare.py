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


WAYS = {"eager": [], "compiled": ["--compile"], "max-autotune": ["--compile=max-autotune"]}


def torch_command(options, way):
    return [sys.executable, str(HERE / "torch_llama.py"), f"--device={options.device}", *WAYS[way]]


def arguments_of(dtype, batch, steps):
    return [f"--dtype={dtype}", f"--batch={batch}", f"--steps={steps}"]


def choose(options):
    """Each way to run PyTorch on this machine's CPU, with each allocator, in a short run for each dtype. They are kept in
    options.choice, for the next time on the same machine."""
    if options.choice.exists():
        kept = json.loads(options.choice.read_text())
        if kept["machine"] == options.machine and {row["dtype"] for row in kept["rows"]} >= set(options.dtypes) - {"float16"}:
            return kept
    choice = {"machine": options.machine, "date": str(date.today()), "batch": min(options.batches), "rows": []}
    for dtype in options.dtypes:
        for way in WAYS if dtype != "float16" else []:  # which would need a scaler
            for allocator in options.allocators:
                command = [*torch_command(options, way), *arguments_of(dtype, choice["batch"], options.choice_steps)]
                with tempfile.TemporaryDirectory() as cache:  # each compiles for itself
                    result = measure(f"PyTorch, {way}, {allocator}, {dtype}", command, options.allocators[allocator], cache,
                                     options.limit)
                if not result:
                    continue
                choice["rows"].append({"dtype": dtype, "way": way, "allocator": allocator,
                                       "tokens_per_s": round(result["tokens_per_s"]),
                                       "first_step_s": round(result["seconds"][0], 1)})
                print(f"choosing PyTorch's way: {dtype:<9} {way:<13} {allocator:<9} {result['tokens_per_s']:>8,.0f} tokens/s, "
                      f"first step {result['seconds'][0]:.1f} s", flush=True)
    options.choice.parent.mkdir(parents=True, exist_ok=True)
    options.choice.write_text(json.dumps(choice, indent=1) + "\n")
    return choice


def fastest(choice, dtype):
    """The row of the fastest way for a dtype; None if none has run."""
    return max((row for row in choice["rows"] if row["dtype"] == dtype), key=lambda row: row["tokens_per_s"], default=None)


def peers(options, choice, dtype):
    """Name, command and allocator of what is measured beside cria in a dtype. A GPU may be measured without PyTorch."""
    if dtype == "float16":
        return []  # theirs would need a scaler
    if options.device == "cpu":
        best = fastest(choice, dtype)
        chosen = [(f"PyTorch, {best['way']}, {best['allocator']}", torch_command(options, best["way"]),
                   options.allocators[best["allocator"]])] if best else []
        return [*chosen, ("JAX", [sys.executable, str(HERE / "jax_llama.py")], options.allocators.get("jemalloc", ""))]
    if importlib.util.find_spec("torch"):
        return [("PyTorch", torch_command(options, "eager"), ""), ("PyTorch compiled", torch_command(options, "compiled"), "")]
    print("PyTorch is left out: Python has no module torch", flush=True)
    return []


def programs(options, choice):
    """Name, dtype, batch, command and allocator of everything that is measured, in the order of the table."""
    graphs = [("cria", [])]
    if options.device == "cuda":
        graphs = [("cria", ["--graph=on"]), ("cria, no graph", ["--graph=off"])]
    beside = {dtype: peers(options, choice, dtype) for dtype in options.dtypes}
    for batch in options.batches:
        for dtype in options.dtypes:
            arguments = arguments_of(dtype, batch, options.steps)
            for name, graph in graphs:
                yield name, dtype, batch, [options.cria, *arguments, *graph], ""
            for name, command, allocator in beside[dtype]:
                yield name, dtype, batch, [*command, *arguments], allocator


def measure(what, command, allocator, cache, limit):
    """What the program printed; None, and why on standard output, if it failed or took longer than `limit` seconds. `cache`:
    a folder for what torch.compile has compiled, if not the user's."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count()))
    if allocator:
        environment["LD_PRELOAD"] = allocator
    if cache:
        environment["TORCHINDUCTOR_CACHE_DIR"] = cache
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
               "tokens_per_s": round(median("tokens_per_s")), "rss_mb": round(median("rss_mb")),
               "first_step_s": round(max(result["seconds"][0] for result in ended), 2)}
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
             "of each run left out: the longest has a column of its own, with what is compiled in it. The bound is the time of the "
             "step's matrix products alone.", "",
             "| program | dtype | batch | tokens/s | cria is faster by | share of the bound | first step | peak memory |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in rows:
        bound = f"{100 * row['share_of_bound']:.0f} %" if "share_of_bound" in row else ""
        faster = f"{row['cria_over_it']:.2f}" if row["program"] != "cria" and "cria_over_it" in row else ""
        lines.append(f"| {row['program']} ({row['library']}) | {row['dtype']} | {row['batch']} | "
                     f"{row['tokens_per_s']:,} | {faster} | {bound} | {row['first_step_s']:.1f} s | {memory(row):,} MB |")
    return "\n".join(lines) + "\n"


def markdown_of_choice(choice, options):
    """How PyTorch's way was chosen, and that ratios differ from machine to machine."""
    lines = ["## How PyTorch is run", "",
             f"In the fastest of its ways here: `torch.compile`, with its mode `max-autotune`, or eager, each with three "
             f"allocators. That was found in short runs, one of each, batch {choice['batch']}, {choice['date']}, in tokens a "
             "second, with the seconds of the first step, which compiles:", ""]
    dtypes = list(dict.fromkeys(row["dtype"] for row in choice["rows"]))
    found = {(row["dtype"], row["way"], row["allocator"]): row for row in choice["rows"]}
    lines += ["| way | allocator |" + "".join(f" {dtype} | first step |" for dtype in dtypes),
              "| --- | --- |" + " ---: | ---: |" * len(dtypes)]
    for way in WAYS:
        for allocator in options.allocators:
            cells = []
            for dtype in dtypes:
                row = found.get((dtype, way, allocator))
                rate = f"{row['tokens_per_s']:,}" if row else "failed"
                cells += [f"**{rate}**" if row and row is fastest(choice, dtype) else rate,
                          f"{row['first_step_s']:.1f} s" if row else ""]
            lines.append(f"| {way} | {allocator} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", OTHER_MACHINES]) + "\n"


OTHER_MACHINES = ("Ratios are those of one machine on one day. Another quiet machine of the same kind (two cores of a Zen 4) "
                  "gave others, cria against compiled PyTorch with jemalloc: 1.37 in float32 and 1.66 in bfloat16 at batch 16, "
                  "1.39 and 1.52 at batch 128.")


def memory(result):
    """Of the device where there is one, else of the process."""
    return result.get("device_mb", result["rss_mb"])


def svg(rows):
    """Bars of tokens/s, a group for each dtype and batch."""
    left, width, bar, gap, top = 240, 400, 20, 18, 34
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


def write(options, choice, runs):
    """What has been measured so far."""
    rows = summary(runs)
    if not rows:
        return
    rounds = max(len(results) for results in runs.values())
    facts = {"date": str(date.today()), "processor": options.machine, "cores": os.cpu_count(), "rows": rows}
    if choice:
        facts["choice"] = choice
    page = ("# cria beside PyTorch and JAX\n\n" + markdown(rows, rounds, options.machine) + "\nMade with "
            "`benchmarks/compare/run.sh`.\n\n![tokens a second](comparison.svg)\n")
    if choice:
        page += "\n" + markdown_of_choice(choice, options)
    for name, text in (("json", json.dumps(facts, indent=1) + "\n"), ("md", page), ("svg", svg(rows))):
        new = options.output / f"comparison.{name}.new"
        new.write_text(text)
        new.replace(options.output / f"comparison.{name}")  # so that it is whole for whoever reads it meanwhile


def allocators(text):
    """The files to preload by their names: "jemalloc=FILE,tcmalloc=FILE", and the C library's own."""
    named = dict(part.split("=", 1) for part in text.split(",") if part)
    missing = [name for name, file in named.items() if not Path(file).is_file()]
    if missing:
        raise argparse.ArgumentTypeError(f"there is no file of {missing[0]}: {named[missing[0]] or 'no path'}")
    return {**named, "glibc": ""}


def main():
    words = lambda text: text.split(",")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cria", required=True, help="the program cria_llama")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batches", type=lambda text: [int(each) for each in words(text)], default=[16, 128])
    parser.add_argument("--dtypes", type=words, default=["float32", "bfloat16", "float16"])
    parser.add_argument("--allocators", type=allocators, default={"glibc": ""},
                        help="for the Python programs, beside the C library's: jemalloc=FILE,tcmalloc=FILE")
    parser.add_argument("--choice", type=Path, default=HERE.parent.parent / "build" / "compare-choice.json",
                        help="where the ways to run PyTorch are kept, once they were tried on a machine")
    parser.add_argument("--choice-steps", type=int, default=4, help="of the runs that try them")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one program")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of PyTorch; cria's is its program's")
    parser.add_argument("--machine", default=f"{processor()}, {os.cpu_count()} cores", help="what the table names it")
    parser.add_argument("--output", type=Path, default=DOCS, help="the folder to write to")
    options = parser.parse_args()
    choice = choose(options) if options.device == "cpu" else None
    measured = list(programs(options, choice))
    runs = {}
    # On the CPU torch.compile begins without what it has compiled before, as for a model that is new.
    with tempfile.TemporaryDirectory() as empty:
        cache = empty if options.device == "cpu" else None
        for number in range(options.rounds):
            for name, dtype, batch, command, allocator in measured:
                result = measure(f"{name}, {dtype}, batch {batch}", command, allocator, cache, options.limit)
                runs.setdefault((name, dtype, batch), []).append(result)
                if result:
                    print(f"round {number + 1}/{options.rounds}  {name:<32} {dtype:<9} batch {batch:<4} "
                          f"{result['tokens_per_s']:>8,.0f} tokens/s {memory(result):>7,} MB", flush=True)
                write(options, choice, runs)  # even if the next one takes the machine down
    print("\n" + markdown(summary(runs), options.rounds, options.machine))
    if any(None in results for results in runs.values()):
        raise SystemExit("error: a program failed; what it said is above")


main()
