"""What a pack does on the machine that has the GPU, within a time: tests, the reference run, speed beside PyTorch's,
operations, compute-sanitizer, Nsight Compute. docs/gpu.md says what its report means."""

import argparse
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import jobs
import machine
import parse
from jobs import Job
from report import Report, Step, code, table

PACK = Path(__file__).resolve().parents[2]
BIN = PACK / "bin"
SCRIPTS = PACK / "benchmarks"
FILES = ("report.md", "log.txt", "reference_run.jsonl", "speed.json", "operations.json", "growth.json", "kernels.csv")
WORKERS = min(12, max(4, os.cpu_count()))  # programs at a time, where none of them is timed
NO_DEVICE = re.compile(r"no NVIDIA driver|finds no device")

# Two programs for CPUs whose products round in another order differ by less than 0.0001 here; a device that does not
# learn differs by the 0.08 that ten steps of the reference run take off.
LOSS_TOLERANCE = 0.003


class Run:
    """What the steps share: where things are, and how much time is left."""

    def __init__(self, facts, gpu, budget, output, work, environment, report):
        self.facts, self.gpu, self.output, self.work = facts, gpu, output, work
        self.environment, self.report = environment, report
        self.began, self.budget = time.monotonic(), budget
        self.deadline = self.began  # of the step that is being done

    def job(self, name, command, limit=math.inf, folder=PACK, **environment):
        return Job(name, command, limit, folder, self.environment | environment)

    def each(self, planned, workers=1, live=lambda: None):
        """Runs jobs and yields those that have ended; meanwhile calls live() every second, and publishes."""
        for job in jobs.run(planned, workers, self.deadline, self.work):
            if job is None:
                live()
                self.report.publish()
            else:
                self.report.log(job)
                yield job

    def one(self, job, live=lambda: None):
        for ended in self.each([job], live=live):
            return ended

    def do(self, steps):
        """All of them, one after another. A step has until its share of the budget and all shares before it are over,
        so that what one leaves is the next one's, and none takes what later ones need."""
        end = self.began
        for step in steps:
            end += step.share * self.budget
            self.deadline, start = end, time.monotonic()
            print(f"{step.name}, {max(0, end - start):.0f} s at most", flush=True)
            step.result = "running"
            self.report.publish()
            try:
                step.work(self, step)
                if step.result == "running":
                    step.result = "done"
            except Exception as error:  # the next one may still work
                step.fail(f"failed: {type(error).__name__}: {error}")
            except SystemExit:
                step.fail("stopped from outside")
                raise
            finally:
                step.seconds = time.monotonic() - start
                self.report.publish()
            print(f"  {step.result}", flush=True)


# ---- the steps --------------------------------------------------------------------------------------------------------

TAKES_ALL_MEMORY = "cuda/allocator"  # so nothing else may use the device meanwhile


def test_job(run, program, name):
    """A suite, or a single case. It gets half of the time that is left, so that one that hangs leaves some to others.
    Each tensor is an allocation of its own, so that the driver may see reads beyond it."""
    is_training = program == "pretrain_llama_cuda_test"
    environment = {"OMP_NUM_THREADS": "2"}  # as more threads than cores wait for each other by spinning
    if not is_training:
        environment["CRIA_CUDA_PASS_THROUGH"] = "1"
    job = run.job(name, [BIN / program, f"--run_test={name}", "--log_level=test_suite", "--color_output=no"],
                  (run.deadline - time.monotonic()) / 2, BIN if is_training else PACK, **environment)
    job.program = program
    return job


def tests_of(run, program):
    """The names of its suites, and those of its cases."""
    done = subprocess.run([BIN / program, "--list_content"], capture_output=True, text=True, timeout=60, cwd=PACK,
                          env=run.environment)
    return parse.boost_tests(done.stderr)


def run_tests(run, step):
    """A process for each suite, as a kernel that fails leaves the device useless for all that follow in its process; the
    cases that failed are run once more, each alone. Meanwhile PyTorch compiles what it is measured with later."""
    names, all_cases = tests_of(run, "cria_cuda_tests")
    first = [test_job(run, "cria_cuda_tests", name) for name in names if name == TAKES_ALL_MEMORY]
    others = [test_job(run, "cria_cuda_tests", name) for name in names if name != TAKES_ALL_MEMORY]
    _, training_cases = tests_of(run, "pretrain_llama_cuda_test")
    others += [test_job(run, "pretrain_llama_cuda_test", case) for case in training_cases]
    compilations = [run.job("PyTorch compiles", torch_command(dtype, batch, "--compile"), 100)
                    for dtype in ("bfloat16", "float32") for batch in (128, 32)]
    passed, failed, alone, broken, not_run = 0, {}, {}, [], []

    def say():
        total = passed + len(failed)
        step.text = f"{passed} of {total} cases passed, in processes of their own for each suite.\n"
        for name, how, output in broken:
            step.text += f"\n### {name}: {how}\n\n{code(output)}"
        for case, sentences in failed.items():
            step.text += f"\n### {case} failed{alone.get(case, '')}\n\n" + code("\n".join(sentences[:8])[:2000])
        if not_run:
            step.text += f"\nNo time was left for {', '.join(not_run)}.\n"
        step.result = f"{passed} of {total} cases passed"
        for names, how in ((broken, "did not end well"), (not_run, "not run")):
            step.result += f", {len(names)} suites {how}" if names else ""
        step.failed = bool(failed or broken)

    def take(job, planned):
        if not job.has_run:
            not_run.append(job.name)
            return
        if job.name in failed:  # this was the second time
            if job.exit_code is not None:
                alone[job.name] = ", but passes alone" if job.passed else ", alone too"
            return
        nonlocal passed
        cases = parse.BoostCases(job.output)
        passed += len(cases.passed)
        failed.update(cases.failed)
        if job.program == "cria_cuda_tests":
            planned += [test_job(run, job.program, case) for case in cases.failed]
        if cases.unfinished:  # those after it have not been run
            known = {*cases.passed, *cases.failed, cases.unfinished}
            planned += [test_job(run, job.program, case) for case in all_cases
                        if case.startswith(job.name + "/") and case not in known]
        # Boost's exit code says that cases failed, which is no more than what is known.
        if (not job.passed and not cases.failed) or cases.unfinished or not (cases.passed or cases.failed):
            how = "ran no case" if job.passed else job.result
            how += f", in the case {cases.unfinished}" if cases.unfinished else ""
            broken.append((job.name, how, "\n".join(job.output.splitlines()[-8:])))

    for planned in (first, compilations + others):
        for job in run.each(planned, workers=WORKERS, live=say):
            if job not in compilations:
                take(job, planned)
                say()
    say()


def run_reference(run, step):
    """The first 101 iterations of the reference run, beside the original's log and the CPU's losses."""
    folder, metrics = run.work / "reference", run.work / "reference/metrics.jsonl"
    kept = run.output / "reference_run.jsonl"

    def keep():
        if metrics.exists():
            shutil.copyfile(metrics, kept)

    job = run.one(run.job("reference run", [
        BIN / "pretrain_llama", "train", "--config=examples/pretrain_llama/configs/reference.toml",
        f"--vocab_size={run.facts['vocabulary']}", "--data_dir=data", f"--out_dir={folder}", "--device=cuda",
        "--max_iters=100", "--lr_decay_iters=100000", "--eval_iters=20"]), live=keep)
    keep()
    on_gpu = losses(kept) if kept.exists() else {}
    if not on_gpu:
        step.fail(job.verdict)
        step.text = code(job.output[-1500:])
        return
    beside_cpu(step, losses(PACK / "reference_cpu.jsonl"), on_gpu)
    if not job.passed and not step.failed:
        step.result += f"; {job.verdict}"
        step.failed = job.exit_code is not None  # to run out of time is no failure
    if step.failed:
        step.text += "\n" + code(job.output[-1500:])
    page = subprocess.run([sys.executable, SCRIPTS / "reference_run/report.py", kept, PACK / "data",
                           SCRIPTS / "reference_run/train_log.txt", run.work / "reference_run", run.gpu],
                          capture_output=True, text=True, timeout=30)
    if page.returncode == 0:
        step.text += "\n" + body_of(run.work / "reference_run.md")
    else:
        step.fail(page.stderr.strip().splitlines()[-1])


def losses(metrics):
    entries = [json.loads(line) for line in metrics.read_text().splitlines() if line.endswith("}")]
    return {entry["iter"]: entry["loss"] for entry in entries if "loss" in entry}


def beside_cpu(step, on_cpu, on_gpu):
    """The first losses beside the CPU's, which had the same weights and tokens."""
    shared = sorted(set(on_cpu) & set(on_gpu))
    number = lambda loss: float("nan") if loss is None else loss
    differences = {i: abs(number(on_gpu[i]) - number(on_cpu[i])) for i in shared}
    rows = [(i, f"{number(on_cpu[i]):.5f}", f"{number(on_gpu[i]):.5f}", f"{differences[i]:.5f}") for i in shared]
    step.text += ("Losses beside those of the same run on a CPU, from the same weights and tokens, in bfloat16 as well. "
                  f"They may differ by {LOSS_TOLERANCE}.\n\n" + table(["iteration", "CPU", "GPU", "difference"], rows))
    worst = max(differences.values(), key=lambda value: math.inf if math.isnan(value) else value)
    if not worst <= LOSS_TOLERANCE:
        step.fail(f"losses differ from the CPU's by {worst:.5f}; allowed: {LOSS_TOLERANCE}")
    else:
        step.result = f"{len(on_gpu)} iterations; the first {len(shared)} losses are the CPU's to {worst:.5f}"


def torch_command(dtype, batch, *more):
    return [sys.executable, SCRIPTS / "compare/torch_llama.py", "--device=cuda", f"--dtype={dtype}", f"--batch={batch}",
            "--steps=3", *more]


def run_speed(run, step):
    """Tokens a second of cria and PyTorch, in turn."""
    page = run.work / "comparison.md"

    def say():
        if page.exists():
            step.text = body_of(page)
            shutil.copyfile(page.with_suffix(".json"), run.output / "speed.json")

    job = run.one(run.job("speed", [
        sys.executable, SCRIPTS / "compare/compare.py", "--device=cuda", f"--cria={BIN / 'cria_llama_cuda'}",
        "--rounds=2", "--steps=15", "--batches=128,32", "--dtypes=bfloat16,float32,float16",
        "--limit=90", f"--machine={run.gpu}", f"--output={run.work}"]), live=say)
    say()
    measured = len(re.findall(r"^round .* tokens/s ", job.output, re.MULTILINE))
    failed = re.findall(r"^.*, batch \d+ (?:failed: |was stopped after ).*$", job.output, re.MULTILINE)
    left_out = re.findall(r"^PyTorch is left out.*$", job.output, re.MULTILINE)
    step.text += "".join(f"\n{line}\n" for line in dict.fromkeys(failed + left_out))
    step.result = f"{measured} measurements" + (f", {len(failed)} failed" if failed else "")
    if not job.passed and not failed:
        step.result += f", {job.verdict}"
    step.failed = bool(failed) or not measured or job.exit_code not in (0, None)  # to run out of time is no failure


def run_benchmarks(run, step, program, name, *options):
    """A program of Google Benchmark, whose JSON is kept. Returns what it measured, or None."""
    output = run.output / f"{name}.json"
    job = run.one(run.job(name, [BIN / program, *options, f"--benchmark_out={output}", "--benchmark_out_format=json"]))
    found = parse.benchmarks(output.read_text()) if output.exists() else None
    entries = [entry for entry in found["benchmarks"] if "error_message" not in entry] if found else []
    step.result = f"{len(entries)} measurements" + ("" if job.passed else f", {job.verdict}")
    if not entries or job.exit_code not in (0, None):
        step.fail(step.result)
        step.text = code(job.output[-1500:])
    return (found["context"], entries) if entries else None


def rate(entry, counter, unit, digits):
    return f"{entry[counter] / unit:,.{digits}f}" if counter in entry else ""


def run_operations(run, step):
    """Time, GB/s and TFLOP/s of each operation."""
    measured = run_benchmarks(run, step, "ops_bench_cuda", "operations", "--benchmark_min_time=0.02")
    if not measured:
        return
    facts, entries = measured
    peak = lambda name, unit: f"{float(facts[name]) / unit:,.0f}"
    rows = [[f"`{entry['name'].removesuffix('/real_time')}`", f"{entry['real_time']:,.1f}",
             rate(entry, "bytes/s", 1e9, 0), rate(entry, "FLOP/s", 1e12, 1),
             rate(entry, "of_roofline", 0.01, 0) + " %"] for entry in entries]
    step.text += (
        f"Measured peaks: {peak('bytes_per_s', 1e9)} GB/s read and written in a copy of 200 MB; in products of 4,096 "
        f"rows and columns {peak('flops_per_s_float32', 1e12)} TFLOP/s in float32 (TF32), "
        f"{peak('flops_per_s_bfloat16', 1e12)} in bfloat16, {peak('flops_per_s_float16', 1e12)} in float16. The roofline "
        "is the least time that these allow. Arrays that fit into the device's cache can be faster.\n\n"
        + table(["<operation", "us", "GB/s", "TFLOP/s", "of the roofline"], rows))


def run_growth(run, step):
    """How a step's time grows with the batch and the width."""
    measured = run_benchmarks(run, step, "train_step_bench_cuda", "growth", "--benchmark_min_time=0.05",
                              "--benchmark_filter=bfloat16/.*length:256/")
    if measured:
        rows = [[f"`{entry['name'].removesuffix('/real_time')}`", f"{entry['real_time']:,.2f}",
                 rate(entry, "tokens/s", 1, 0)] for entry in measured[1]]
        step.text += table(["<step", "ms", "tokens/s"], rows)


SANITIZERS = {"memcheck": ["--report-api-errors=no"], "racecheck": [], "initcheck": [], "synccheck": []}


def run_sanitizers(run, step):
    """A small training step in each dtype, and the suites of operations, optimisers and CUDA's own, under each tool of
    compute-sanitizer."""
    program = machine.tool("compute-sanitizer")
    if not program:
        step.result = "skipped: there is no compute-sanitizer"
        return
    names = [name for name in tests_of(run, "cria_cuda_tests")[0]
             if name.startswith(("ops/", "optim/", "cuda/")) and name != TAKES_ALL_MEMORY]
    planned = []

    def plan(job, tool):
        options = SANITIZERS[tool]
        job.command = [program, f"--tool={tool}", *options, "--print-limit=20", "--error-exitcode=99", *job.command]
        job.tool, job.suite, job.name = tool, job.name, f"{tool} {job.name}"
        planned.append(job)

    left = run.deadline - time.monotonic()
    steps = [f"training step in {dtype}" for dtype in ("bfloat16", "float32", "float16")]
    for tool in ("memcheck", "synccheck", "racecheck"):  # all kernels of a step, in little time
        for name in steps:  # (initcheck does not see what products write by the bulk copy engine)
            plan(run.job(name, [BIN / "cria_llama_cuda", f"--dtype={name.split()[-1]}", "--batch=2", "--steps=1",
                                "--bound=off"], left / 2), tool)
    # The suites that have found most under emulation first, and the slowest tool last.
    for tool in ("memcheck", "synccheck", "initcheck", "racecheck"):
        for name in sorted(names, key=lambda name: not name.startswith("cuda/")):
            plan(test_job(run, "cria_cuda_tests", name), tool)
    ended, kinds, unclear = {tool: [] for tool in SANITIZERS}, {}, []

    def say():
        rows = [(tool, len(found), sum(count == 0 for count in found), sum(count or 0 for count in found),
                 sum(job.tool == tool for job in planned) - len(found)) for tool, found in ended.items()]
        step.text = table(["<tool", "runs", "clean", "findings", "not finished"], rows)
        if kinds:
            step.text += "\n" + table(["<finding", "<tool", "<in", "times"], [
                (f"`{said}`", tool, ", ".join(sorted(where)), sum(where.values()))
                for (tool, said), where in sorted(kinds.items(), key=lambda kind: -sum(kind[1].values()))[:40]])
        if unclear:
            step.text += "\n" + "; ".join(f"{name} {why}" for name, why in unclear) + ".\n"
        findings, finished = sum(row[3] for row in rows), sum(row[1] for row in rows)
        step.result = f"{findings} findings in {finished} of {len(planned)} runs"
        step.failed = findings > 0 or any(None in found for found in ended.values())

    for job in run.each(planned, workers=WORKERS, live=say):
        findings = parse.SanitizerFindings(job.output)
        if job.exit_code is None:
            if job.has_run:
                unclear.append((job.name, job.result))
        else:
            ended[job.tool].append(findings.count)
            if findings.count is None:  # the tool itself failed
                unclear.append((job.name, job.verdict))
        if findings.count != 0:
            for said, times in findings.kinds.items():
                where = kinds.setdefault((job.tool, said), {})
                where[job.suite] = where.get(job.suite, 0) + times
        say()


def run_kernels(run, step):
    """The kernels that a training step spends most of its time in, as Nsight Compute sees them: first the time of all
    launches, then a launch of each of the five longest with all that explains it."""
    program = machine.tool("ncu")
    if not program:
        step.result = "skipped: there is no ncu"
        return
    times, details = run.work / "times.csv", run.output / "kernels.csv"
    profile = lambda log, limit, *options: run.one(run.job(f"ncu, {log.stem}", [
        program, "--csv", "--page=raw", "--print-units=base", "--clock-control=none", f"--log-file={log}", *options,
        BIN / "cria_llama_cuda", "--dtype=bfloat16", "--batch=128", "--steps=1", "--bound=off"], limit))
    job = profile(times, 0.6 * (run.deadline - time.monotonic()), "--metrics=gpu__time_duration.sum",
                  "--cache-control=none")
    by_kernel = {}
    for row in parse.kernels(times.read_text() if times.exists() else ""):
        by_kernel.setdefault(row["Kernel Name"], []).append(duration(row))
    if not by_kernel:
        step.fail(f"ncu {job.verdict}")
        step.text = code((times.read_text() if times.exists() else "")[-1500:] + job.output[-1500:])
        return
    total = sum(map(sum, by_kernel.values()))
    longest = sorted(by_kernel, key=lambda name: -sum(by_kernel[name]))
    step.text = (f"{sum(map(len, by_kernel.values()))} launches of a training step (bfloat16, batch 128, no graph) "
                 f"took {total / 1e6:,.2f} ms on the device. The longest:\n\n"
                 + table(["<kernel", "launches", "ms", "share"], [
                     (f"`{name[:150]}`", len(by_kernel[name]), f"{sum(by_kernel[name]) / 1e6:,.3f}",
                      f"{100 * sum(by_kernel[name]) / total:.1f} %") for name in longest[:15]]))
    run.report.publish()
    functions = dict.fromkeys(map(parse.function_name, longest[:5]))
    sections = ("SpeedOfLight", "LaunchStats", "Occupancy", "MemoryWorkloadAnalysis", "WarpStateStats")
    job = profile(details, math.inf, *(f"--section={section}" for section in sections),
                  f"--kernel-name=regex:^({'|'.join(functions)})$", "--filter-mode=per-launch-config", "--launch-count=1")
    rows = {}  # of each kernel the launch that took longest, of all instances of the five functions
    for row in parse.kernels(details.read_text() if details.exists() else ""):
        name = row["Kernel Name"]
        if name in longest[:5] and (name not in rows or duration(row) > duration(rows[name])):
            rows[name] = row
    if not rows:
        step.fail(f"ncu {job.verdict}")
        step.text += "\n" + code((details.read_text() if details.exists() else "")[-1500:] + job.output[-1500:])
        return
    step.text += "\n" + table(
        ["<kernel", "us", "registers", "occupancy", "GB/s", "of the memory's rate", "of the multiprocessors'",
         "<warps wait for"], [kernel_row(rows[name]) for name in longest[:5] if name in rows])
    step.result = f"{len(rows)} of the {min(5, len(longest))} longest kernels in detail"


def duration(row):
    return parse.number(row, "gpu__time_duration.sum") or 0


def kernel_row(row):
    def cell(digits, unit, *names):
        value = parse.number(row, *names)
        return "" if value is None else f"{value * unit:,.{digits}f}"

    waits = ", ".join(f"{name} {100 * share:.0f} %" for name, share in parse.stalls(row)[:4])
    return (f"`{row['Kernel Name'][:150]}`", cell(1, 1e-3, "gpu__time_duration.sum"),
            cell(0, 1, "launch__registers_per_thread"),
            cell(0, 1, "sm__warps_active.avg.pct_of_peak_sustained_active") + " %",
            cell(0, 1e-9, "dram__bytes.sum.per_second"),
            cell(0, 1, "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
                 "dram__throughput.avg.pct_of_peak_sustained_elapsed") + " %",
            cell(0, 1, "sm__throughput.avg.pct_of_peak_sustained_elapsed") + " %", waits)


def body_of(page):
    """A page that another script has written, without its title and its last words."""
    return page.read_text().split("\n", 2)[2].split("\n![")[0].split("\nMade with")[0]


# In the order of their value. The shares add up to 1.
STEPS = (
    Step("tests", 0.16, "Tests", run_tests),
    Step("reference run", 0.04, "The reference run", run_reference),
    Step("speed", 0.36, "Speed, beside PyTorch", run_speed),
    Step("operations", 0.04, "Operations", run_operations),
    Step("sanitizers", 0.26, "compute-sanitizer", run_sanitizers),
    Step("kernels", 0.10, "The longest kernels", run_kernels),
    Step("growth", 0.04, "A training step by batch and width", run_growth),
)


# ---- without a device -------------------------------------------------------------------------------------------------


def rehearse(environment, budget):
    """Says what would be run, and for how long, and sees that each program starts, has all its libraries and symbols,
    and says that there is no device. Returns whether all do."""
    for step in STEPS:
        print(f"{step.name}, {step.share * budget:.0f} s: {' '.join(step.work.__doc__.split())}")
    environment = environment | {"CUDA_VISIBLE_DEVICES": "", "LD_BIND_NOW": "1"}
    with tempfile.TemporaryDirectory() as work:
        train = [BIN / "pretrain_llama", "train", "--data_dir=data", f"--out_dir={work}/run", "--max_iters=0",
                 f"--vocab_size={json.loads((PACK / 'pack.json').read_text())['vocabulary']}"]
        small = ["--eval_only=true", "--eval_iters=1", "--batch_size=1", "--dtype=bfloat16"]
        programs = [  # name, command, folder, what it is to say
            ("cria_cuda_tests", [BIN / "cria_cuda_tests", "--run_test=ops/golden"], PACK, NO_DEVICE),
            ("pretrain_llama", [*train, "--device=cuda"], PACK, NO_DEVICE),
            ("pretrain_llama_cuda_test", [BIN / "pretrain_llama_cuda_test"], BIN, NO_DEVICE),
            ("ops_bench_cuda", [BIN / "ops_bench_cuda"], PACK, NO_DEVICE),
            ("train_step_bench_cuda", [BIN / "train_step_bench_cuda"], PACK, NO_DEVICE),
            ("cria_llama_cuda", [BIN / "cria_llama_cuda", "--graph=on"], PACK, NO_DEVICE),
            ("pretrain_llama on the CPU", [*train, *small], PACK, re.compile("step 0: train loss")),
        ]
        all_do = True
        for name, command, folder, expected in programs:
            job = Job(name, command, 120, folder, environment)
            for _ in jobs.run([job], 1, math.inf, Path(work)):
                pass
            said = next((line for line in job.output.splitlines() if expected.search(line)), None)
            all_do = all_do and said is not None
            print(f"{name}: {said or 'error: ' + job.verdict}")
    for name in ("nvidia-smi", "compute-sanitizer", "ncu"):
        print(f"{name}: {machine.tool(name) or 'there is none'}")
    return all_do


# ---- the whole --------------------------------------------------------------------------------------------------------


def unpack():
    """Programs, libraries and data, unless they have been unpacked before."""
    archive = PACK / "programs.tar.xz"
    if archive.exists() and not BIN.exists():
        with tempfile.TemporaryDirectory(dir=PACK) as folder, tarfile.open(archive) as file:
            file.extraction_filter = lambda member, path: member  # it is the pack's own; without it Python warns
            file.extractall(folder)
            for name in ("data", "lib", "bin"):  # the last says that all are there
                shutil.rmtree(PACK / name, ignore_errors=True)
                os.rename(Path(folder) / name, PACK / name)


def programs_environment(needed):
    folder = machine.library_folder(needed)
    if not folder:
        raise SystemExit(f"error: {' and '.join(needed)} are in no folder of Python's packages or a CUDA toolkit; "
                         "CUDA_HOME must name a toolkit that has them")
    return os.environ | {"LD_LIBRARY_PATH": str(folder)}


def seconds(text):
    value = float(text)
    if not 1 <= value < math.inf:
        raise ValueError
    return value


def read_options():
    class Parser(argparse.ArgumentParser):
        def error(self, message):
            raise SystemExit(f"error: {message}; there are --budget=SECONDS, a number from 1, and --dry-run")

    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--budget", type=seconds, default=530, metavar="SECONDS", help="for all steps together")
    parser.add_argument("--dry-run", action="store_true", help="without a device: says what it would do, starts all")
    return parser.parse_args()


def stop(number, _):
    raise SystemExit(128 + number)


def main():
    options = read_options()
    facts = json.loads((PACK / "pack.json").read_text())
    unpack()
    environment = programs_environment(facts["libraries"])
    if options.dry_run:
        raise SystemExit(0 if rehearse(environment, options.budget) else 1)
    gpu = machine.gpu()
    if not gpu:
        raise SystemExit("error: nvidia-smi finds no GPU; --dry-run does what can be done without one")
    if gpu["compute_cap"].replace(".", "") != facts["architecture"]:
        raise SystemExit(f"error: the GPU, {gpu['name']}, has compute capability {gpu['compute_cap']}, and the pack was "
                         f"made for sm_{facts['architecture']}; make one with benchmarks/gpu.sh --architecture="
                         f"{gpu['compute_cap'].replace('.', '')}")
    output = Path(os.environ.get("OUT") or PACK / "report")
    output.mkdir(parents=True, exist_ok=True)
    for name in FILES:  # those of an earlier run
        (output / name).unlink(missing_ok=True)
    report = Report(output, f"cria on {gpu['name']}", {
        "GPU": f"{gpu['name']} (compute capability {gpu['compute_cap']}, driver {gpu['driver_version']}, "
               f"{gpu['memory.total']}, up to {gpu['clocks.max.sm']} and {gpu['power.limit']})",
        "processors": os.cpu_count(), "cuBLAS": environment["LD_LIBRARY_PATH"], "Python": sys.executable,
        "cria": facts["commit"], "compiled by": facts["compiler"], "text": facts["text"]}, STEPS)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory() as work:
        run = Run(facts, gpu["name"], options.budget, output, Path(work), environment, report)
        try:
            run.do(STEPS)
        finally:
            print(f"\n{report.plain_table()}\n\nthe report is {output / 'report.md'}", flush=True)
    raise SystemExit(1 if any(step.failed for step in STEPS) else 0)


main()
