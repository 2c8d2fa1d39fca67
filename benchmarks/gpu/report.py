"""The report of a run, which is written anew whenever there is more to say."""

import os
from datetime import datetime

LOG_LIMIT = 50_000  # characters of one program that go into the log


def table(columns, rows):
    """Rows under `columns`, whose names begin with < if they hold text."""
    heads = [column.lstrip("<") for column in columns]
    lines = [heads, ["---" if column.startswith("<") else "---:" for column in columns], *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def code(text):
    return f"```\n{text.strip()}\n```\n\n" if text.strip() else ""


class Step:
    """One of the things that a run does, and what came of it. `work(run, step)` does it, `share` is its part of the
    budget."""

    def __init__(self, name, share, title, work):
        self.name, self.share, self.title, self.work = name, share, title, work
        self.result, self.failed, self.seconds = "not run", False, 0.0
        self.text = ""  # Markdown

    def fail(self, result):
        self.result, self.failed = result, True


class Report:
    """report.md and log.txt in a folder."""

    def __init__(self, folder, title, facts, steps):
        self.folder, self.title, self.facts, self.steps = folder, title, facts, steps
        (folder / "log.txt").write_text("")

    def log(self, job):
        """Appends what a program printed: its end, if it is long."""
        output = job.output[-LOG_LIMIT:]
        with open(self.folder / "log.txt", "a") as file:
            file.write(f"==== {job.name}: {job.result}, {job.seconds:.1f} s\n{' '.join(job.command)}\n{output}\n")

    def publish(self):
        facts = "".join(f"- {name}: {value}\n" for name, value in self.facts.items())
        sections = [f"# {self.title}\n\n{datetime.now():%Y-%m-%d %H:%M}. Made by a pack of `benchmarks/gpu.sh`; "
                    f"docs/gpu.md says how to read it.\n\n{facts}",
                    "## Steps\n\n" + table(["<step", "<result", "seconds"], self.rows())]
        sections += [f"## {step.title}\n\n{step.text}" for step in self.steps if step.text]
        new = self.folder / "report.new"
        new.write_text("\n".join(sections))
        os.replace(new, self.folder / "report.md")  # so that it is whole at every moment

    def rows(self):
        return [(step.name, step.result, f"{step.seconds:.0f}") for step in self.steps]

    def plain_table(self):
        width = max(len(step.name) for step in self.steps)
        return "\n".join(f"{name:<{width}}  {seconds:>4} s  {result}" for name, result, seconds in self.rows())
