"""What the programs print: Boost.Test, compute-sanitizer, Nsight Compute, Google Benchmark."""

import csv
import json
import re


def boost_tests(listing):
    """Suites of the second level, such as ops/rms_norm, and cases, such as ops/rms_norm/forward, from --list_content."""
    path, suites, cases = [], [], []
    entries = re.findall(r"^( *)(\S+)\*", listing, re.MULTILINE)
    for (spaces, name), (next_spaces, _) in zip(entries, [*entries[1:], ("", "")]):
        path[len(spaces) // 4:] = [name]
        if len(path) == 2:
            suites.append("/".join(path))
        if len(next_spaces) <= len(spaces):
            cases.append("/".join(path))
    return suites, cases


class BoostCases:
    """The cases of a run with --log_level=test_suite: `failed` has what was said of each that failed, `passed` names,
    `unfinished` the case that was running when the program ended."""

    LINE = re.compile(r"(?P<file>\S*?(?P<place>(?:tests/\S+|unknown location)\(\d+\))): (?P<said>.*)")

    def __init__(self, output):
        self.failed, self.passed, self.unfinished = {}, [], None
        path, sentences = [], None  # of the error that the lines belong to
        for line in output.splitlines():
            match = self.LINE.match(line)
            if not match:  # a sentence of several lines, or what it is about
                if sentences:
                    sentences[-1] += "\n" + line
                continue
            said, sentences = match["said"], None
            name = said.split('"')[1] if '"' in said else ""
            if said.startswith("Entering test suite"):
                path.append(name)
            elif said.startswith("Leaving test suite"):
                path.pop()
            elif said.startswith("Entering test case"):
                self.unfinished = "/".join([*path, name])
            elif said.startswith("Leaving test case"):
                if self.unfinished not in self.failed:
                    self.passed.append(self.unfinished)
                self.unfinished = None
            elif "error: in " in said:
                sentences = self.failed.setdefault(name, [])
                sentences.append(match["place"] + ": " + said.split("\": ", 1)[-1])


class SanitizerFindings:
    """What a tool of compute-sanitizer found: `count` (None if it printed no summary), and `kinds`, how often it said
    what of which kernel."""

    PLACE = re.compile(r"\bat (?:0x\w+ in )?(\S.*?)(?:\+0x.*)?$")

    def __init__(self, output):
        self.count, self.kinds = None, {}
        lines = [line[10:] for line in output.splitlines() if line.startswith("=========")]
        for line, after in zip(lines, [*lines[1:], ""]):
            if match := re.match(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", line):
                self.count = int(match[1])
            elif line and line != "COMPUTE-SANITIZER" and not line.startswith(" "):  # details are indented
                place = self.PLACE.search(line) or self.PLACE.match(after.strip())
                kind = line.split(" between ")[0]
                said = f"{kind} in {place[1]}" if place else kind
                self.kinds[said] = self.kinds.get(said, 0) + 1


def kernels(text):
    """Rows of ncu's raw page as CSV, by metric. What comes before the table, and the row of units, is left out, and so are
    namespaces in the kernels' names, of which ncu prints now more, now less."""
    start = text.find('"ID"')
    if start < 0:
        return []
    rows = [row for row in csv.DictReader(text[start:].splitlines()) if (row["ID"] or "").isdigit()]
    for row in rows:
        row["Kernel Name"] = re.sub(r"\b\w+::", "", row["Kernel Name"].replace("(anonymous namespace)::", ""))
    return rows


def function_name(kernel):
    """Of a demangled name, without namespaces, types and arguments: what ncu's --kernel-name takes."""
    return re.split(r"[<(]", kernel.replace("(anonymous namespace)", ""))[0].split()[-1].split("::")[-1]


def number(row, *names):
    """The first of the metrics that is there, or None."""
    for name in names:
        try:
            return float(row[name].replace(",", ""))
        except (KeyError, AttributeError, ValueError):
            pass
    return None


STALL = re.compile(r"smsp__average_warps_issue_stalled_(?!selected|\w+_not_issued)(\w+)_per_issue_active\.ratio")


def stalls(row):
    """What warps wait for, the commonest first, as shares of all waiting."""
    found = {match[1]: number(row, name) or 0 for name in row if name and (match := STALL.fullmatch(name))}
    total = sum(found.values())
    shares = [(name.replace("_", " "), value / total) for name, value in found.items() if value > 0]
    return sorted(shares, key=lambda share: -share[1])


def benchmarks(text):
    """Google Benchmark's JSON, also of a program that was stopped in the middle of it."""
    for end in ("", "]}"):
        cut = text if not end else text[:text.rfind("}") + 1] + end
        try:
            return json.loads(cut)
        except json.JSONDecodeError:
            pass
    return None
