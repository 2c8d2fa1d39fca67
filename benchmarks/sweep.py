"""A table of what train_step_bench has measured (its --benchmark_out): a row for each batch, length and width, tokens a second
and the share of the physical limit for each dtype and number of threads. A share below nine tenths of its column's median is
a cliff."""

import json
import re
import statistics
import sys
from pathlib import Path

NAME = re.compile(r"train_step/cpu/(\w+)/batch:(\d+)/length:(\d+)/width:(\d+)/threads:(\d+)")


def main(path):
    measured = {}  # by shape and column, of which several runs may tell: the best counts
    for entry in json.loads(Path(path).read_text())["benchmarks"]:
        found = NAME.match(entry["name"])
        if not found or "tokens/s" not in entry or entry.get("run_type") == "aggregate":
            continue
        shape, column = tuple(map(int, found.group(2, 3, 4))), (found[1], int(found[5]))
        of_shape = measured.setdefault(shape, {})
        if column not in of_shape or entry["tokens/s"] > of_shape[column]["tokens/s"]:
            of_shape[column] = entry
    columns = list(dict.fromkeys(column for of_shape in measured.values() for column in of_shape))
    least = {column: 0.9 * statistics.median(of_shape[column]["of_limit"] for of_shape in measured.values()
                                             if column in of_shape) for column in columns}
    names = [f"{dtype}, {threads} thread{'s' if threads > 1 else ''}" for dtype, threads in columns]
    print("| batch | length | width | MFLOP a token |" + "".join(f" {name} | of the limit |" for name in names))
    print("| ---: | ---: | ---: | ---: |" + " ---: | ---: |" * len(names))
    for shape, of_shape in measured.items():
        operations = next(iter(of_shape.values()))["MFLOP/token"]
        cells = [f"{number:,}" for number in shape] + [f"{operations:,.0f}"]
        for column in columns:
            entry = of_shape.get(column)
            share = f"{100 * entry['of_limit']:.0f} %" if entry else ""
            cells += [f"{entry['tokens/s']:,.0f}" if entry else "",
                      f"**{share}**" if entry and entry["of_limit"] < least[column] else share]
        print("| " + " | ".join(cells) + " |")


if len(sys.argv) != 2:
    sys.exit("sweep.py <what train_step_bench wrote by --benchmark_out>")
main(sys.argv[1])
