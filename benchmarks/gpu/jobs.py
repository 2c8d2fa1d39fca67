"""Other programs, several at a time, each for so long at most."""

import os
import signal
import subprocess
import time

GRACE = 1  # seconds that a program has from the request to end until it is killed
BEAT = 1  # seconds between two moments at which run() hands control back


class Job:
    """A program that is to be run, and then how it ended."""

    def __init__(self, name, command, limit, folder=None, environment=None):
        self.name, self.command, self.limit = name, [str(word) for word in command], limit
        self.folder, self.environment = folder, environment
        self.has_run, self.result = False, "not run: no time was left"
        self.exit_code = None  # None if it has not ended by itself
        self.seconds = 0.0
        self.output = ""

    def start(self, log, deadline):
        self.has_run, self.log, self.began = True, log, time.monotonic()
        self.ends_at = min(self.began + self.limit, deadline)
        self.asked_to_end = False
        try:
            with open(log, "wb") as file:
                # A process group of its own, so that its children end with it.
                self.process = subprocess.Popen(
                    self.command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, cwd=self.folder,
                    env=self.environment, process_group=0)
        except OSError as error:
            self.process, self.result = None, f"failed: {error.strerror}: {self.command[0]}"

    def has_ended(self):
        """Asks it to end when its time is over, and kills it a little later."""
        if self.process is None:
            return True
        exit_code, now = self.process.poll(), time.monotonic()
        if exit_code is not None:
            self.finish(exit_code)
            return True
        if now >= self.ends_at + 5 * GRACE:  # it hangs in the driver
            self.seconds, self.result = now - self.began, "could not be killed"
            self.output = self.log.read_text(errors="replace")
            return True
        if now >= self.ends_at + GRACE:
            self.signal(signal.SIGKILL)
        elif now >= self.ends_at and not self.asked_to_end:
            self.asked_to_end = True
            self.signal(signal.SIGTERM)
        return False

    def finish(self, exit_code):
        self.signal(signal.SIGKILL)  # children that it left
        self.seconds = time.monotonic() - self.began
        self.output = self.log.read_text(errors="replace")
        if self.asked_to_end:
            self.result = f"stopped after {self.seconds:.0f} s"
        elif exit_code < 0:
            self.exit_code, self.result = exit_code, f"killed by {signal.Signals(-exit_code).name}"
        else:
            self.exit_code = exit_code
            self.result = f"failed with exit code {exit_code}" if exit_code else "passed"

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):  # all of them have ended
            pass

    @property
    def passed(self):
        return self.exit_code == 0

    @property
    def verdict(self):
        """The result, and of a program that failed the last that it said."""
        lines = self.output.strip().splitlines()
        return f"{self.result}: {lines[-1]}" if self.exit_code and lines else self.result


def run(jobs, workers, deadline, logs):
    """Runs up to `workers` of the jobs at once, in their order, and yields each when it has ended, and None every second.
    No job is started after the deadline, a time of time.monotonic(). Jobs may be appended meanwhile. What they print goes
    to files in the folder `logs`."""
    started, running = 0, []
    beat = time.monotonic() + BEAT
    try:
        while started < len(jobs) or running:
            while started < len(jobs) and len(running) < workers and time.monotonic() < deadline:
                running.append(jobs[started])
                jobs[started].start(logs / f"{started}.log", deadline)
                started += 1
            if not running:  # no time is left
                yield from jobs[started:]
                return
            for job in [job for job in running if job.has_ended()]:
                running.remove(job)
                yield job
            if time.monotonic() >= beat:
                beat += BEAT
                yield None
            time.sleep(0.02)
    finally:
        for job in running:
            if job.process:
                job.signal(signal.SIGKILL)
