"""gpu_report.py WORK REPORT GPU FACTS: what gpu.sh left in the folder WORK, as one page. What is missing there is left out."""

import json
import sys
from datetime import date
from pathlib import Path


def table(columns, rows):
    """Rows under `columns`, whose names begin with < if they hold text."""
    heads = [column.lstrip("<") for column in columns]
    lines = [heads, ["---" if column.startswith("<") else "---:" for column in columns], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def steps_of(work):
    return [line.split("\t") for line in (work / "steps.tsv").read_text().splitlines()]


def steps_section(steps):
    return "## Steps\n\n" + table(["<step", "<result", "seconds"], steps)


def failures_section(work, steps):
    parts = []
    for name, result, _ in steps:
        log = work / f"{name}.log"
        if result.startswith(("failed", "stopped")) and log.exists():
            last = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            parts.append(f"### {name} {result}\n\n```\n{last}\n```\n")
    return "## What failed\n\n" + "\n".join(parts) if parts else ""


def read_benchmarks(path):
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # it was not run, or was stopped
        return None


def rate(entry, counter, unit, digits):
    return f"{entry[counter] / unit:,.{digits}f}" if counter in entry else ""


def operations_section(path):
    found = read_benchmarks(path)
    if not found:
        return ""
    facts = found["context"]
    rows = [[f"`{entry['name'].removesuffix('/real_time')}`", f"{entry['real_time']:,.1f}",
             rate(entry, "bytes/s", 1e9, 0), rate(entry, "FLOP/s", 1e12, 1),
             rate(entry, "of_roofline", 0.01, 0) + " %"] for entry in found["benchmarks"]]
    return (f"## Operations\n\nMeasured peaks: {float(facts['bytes_per_s']) / 1e9:,.0f} GB/s read and written in a copy of "
            f"200 MB; in products of 4,096 rows and columns {float(facts['flops_per_s_float32']) / 1e12:,.0f} TFLOP/s in "
            f"float32 (TF32), {float(facts['flops_per_s_bfloat16']) / 1e12:,.0f} in bfloat16, "
            f"{float(facts['flops_per_s_float16']) / 1e12:,.0f} in float16. The roofline is the least time that these "
            "allow. Arrays that fit into the device's cache can be faster.\n\n"
            + table(["<operation", "us", "GB/s", "TFLOP/s", "of the roofline"], rows))


def train_step_section(path):
    found = read_benchmarks(path)
    if not found:
        return ""
    rows = [[f"`{entry['name'].removesuffix('/real_time')}`", f"{entry['real_time']:,.2f}", rate(entry, "tokens/s", 1, 0)]
            for entry in found["benchmarks"]]
    return "## A training step\n\n" + table(["<step", "ms", "tokens/s"], rows)


def page_section(title, path):
    """A page that another script has written, without its title and its last words."""
    if not path.exists():
        return ""
    return f"## {title}\n\n" + path.read_text().split("\n", 2)[2].split("\nMade with")[0]


def main():
    work, report, gpu, facts = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    steps = steps_of(work)
    title = f"cria on {gpu}" if facts else "A rehearsal without a GPU"
    sections = [f"# {title}\n\n{date.today()}. Made with `benchmarks/gpu.sh`. {facts}\n",
                steps_section(steps), failures_section(work, steps), operations_section(work / "ops.json"),
                train_step_section(work / "train_step.json"),
                page_section("The reference run", report.parent / "gpu_reference_run.md"),
                page_section("Beside PyTorch", work / "comparison.md")]
    report.write_text("\n".join(section for section in sections if section))
    print(f"the report is {report}")


main()
