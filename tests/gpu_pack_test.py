"""gpu_pack_test.py SOURCE_DIR: what the pack of benchmarks/gpu.sh does on a GPU, played through with stand-ins that print
what the real programs and NVIDIA's tools print."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(sys.argv.pop(1))

NVIDIA_SMI = """echo 'NVIDIA H100 80GB HBM3, 9.0, 580.159.04, 81559 MiB, 1980 MHz, 700.00 W'"""

# Boost.Test with --log_level=test_suite; BROKEN has one suite fail, one hang and one crash.
TESTS = """
if [ "$1" = --list_content ]; then
  printf 'ops*\\n    linear*\\n        forward*\\n    rope*\\n        turns*\\n        hangs*\\n        later<float>*\\ncuda*\\n    mma*\\n        tiles*\\n' >&2
  exit
fi
suite=${1#--run_test=}
entering() { echo "/source/tests/$suite""_test.cpp(1): Entering test $1 \\"$2\\""; }
leaving() { echo "/source/tests/$suite""_test.cpp(1): Leaving test $1 \\"$2\\"; testing time: 9us"; }
fails() { echo "/source/tests/$suite""_test.cpp(7): error: in \\"$1\\": check worst <= 0.001 has failed [0.25 > 0.001]"; }
entering suite ${suite%%/*}
case $suite in
  ops/linear) entering suite linear; entering case forward
    [ -z "$BROKEN" ] || { fails ops/linear/forward; echo 'Failure occurred in a following context:'; echo '    float16'; }
    leaving case forward; leaving suite linear ;;
  ops/linear/forward) entering suite linear; entering case forward; leaving case forward; leaving suite linear; exit 0 ;;
  ops/rope) entering suite rope; entering case turns; leaving case turns; entering case hangs
    if [ -n "$BROKEN" ]; then trap '' TERM; sleep 60 & wait; wait; sleep 60; fi
    leaving case hangs; entering case 'later<float>'; leaving case 'later<float>'; leaving suite rope ;;
  ops/rope/later*) entering suite rope; entering case 'later<float>'; leaving case 'later<float>'; leaving suite rope; exit 0 ;;
  cuda/mma) entering suite mma; entering case tiles
    [ -z "$BROKEN" ] || kill -SEGV $$
    leaving case tiles; leaving suite mma ;;
esac
leaving suite ${suite%%/*}
[ -z "$BROKEN" ] || exit 201
"""

TRAINING_TESTS = """
if [ "$1" = --list_content ]; then
  printf 'pretrain_llama*\\n    cuda*\\n        losses_are_those_of_the_cpu*\\n' >&2
  exit
fi
[ -x ./pretrain_llama ] || exit 1
for what in 'Entering test case' 'Leaving test case'; do
  echo "tests/pretrain_llama/cuda_test.cpp(69): $what \\"losses_are_those_of_the_cpu\\""
done
"""

# Writes the metrics of 10 iterations; BROKEN has the third loss wrong, and ends before the fifth.
TRAINING = """
for option in "$@"; do
  case $option in
    --out_dir=*) folder=${option#*=} ;;
    --device=*) device=${option#*=} ;;
    --eval_only=true) echo 'step 0: train loss 8.3516, val loss 8.3516'; exit 0 ;;
  esac
done
[ -z "$NO_DEVICE" ] || { echo 'error: cuda: this machine has no NVIDIA driver; install one'; exit 1; }
mkdir -p "$folder"
for i in 0 1 2 3 4 5 6 7 8 9; do
  loss=8.3$((9 - i))01
  [ -z "$BROKEN" ] || case $i in 2) loss=9.5 ;; 5) exit 1 ;; esac
  echo "{\\"iter\\":$i,\\"loss\\":$loss,\\"lr\\":$((5 * i))e-7,\\"ms\\":50.0,\\"tokens_per_s\\":2600000.0}" >>"$folder/metrics.jsonl"
done
"""

# A line for compare.py; with LLAMA_HANGS it makes that file and does not end until it is gone, with the whole pack.
LLAMA = """
[ -z "$LLAMA_HANGS" ] || { : >"$LLAMA_HANGS"; while [ -e "$LLAMA_HANGS" ]; do sleep 0.1; done; exit 1; }
case "$*" in *float32*) seconds=0.04 ;; *) seconds=0.02 ;; esac
case "$*" in *batch=32*) batch=32 ;; *) batch=128 ;; esac
[ -z "$BROKEN" ] || case "$*" in *float16*--graph=on*) echo 'error: cuda: an illegal memory access' >&2; exit 1 ;; esac
echo "{\\"program\\": \\"cria\\", \\"library\\": \\"cuBLAS\\", \\"batch\\": $batch, \\"tokens\\": $((batch * 256)), \
\\"seconds\\": [1, $seconds, $seconds], \\"device_mb\\": 3000, \\"rss_mb\\": 900, \\"bound_tokens_per_s\\": 4000000.0}"
"""

TORCH = """
import sys
batch = 32 if "--batch=32" in sys.argv else 128
print('{"library": "2.11.0", "tokens": %d, "seconds": [9, 0.05, 0.05], "rss_mb": 4000, "device_mb": 5000}' % (batch * 256))
"""

# Google Benchmark; BROKEN ends in the middle of its file.
BENCHMARK = """
for option in "$@"; do
  case $option in --benchmark_out=*) output=${option#*=} ;; esac
done
cat >"$output" <<'END'
{"context": {"bytes_per_s": "2900000000000.0", "flops_per_s_float32": "400000000000000.0",
 "flops_per_s_bfloat16": "700000000000000.0", "flops_per_s_float16": "710000000000000.0"}, "benchmarks": [
 {"name": "rms_norm/forward/cuda/float32/rows:32768/cols:288/real_time", "real_time": 31.25, "bytes/s": 2416000000000.0,
  "tokens/s": 5000000.0, "of_roofline": 0.83}
END
if [ -n "$BROKEN" ]; then printf ', {"name": "linear' >>"$output"; echo 'error: cuda: misaligned address'; exit 1; fi
echo ']}' >>"$output"
"""

SANITIZER = """
case $1 in --tool=racecheck) summary='RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)' ;;
  *) summary='ERROR SUMMARY: 0 errors' ;;
esac
echo '========= COMPUTE-SANITIZER'
if [ -n "$BROKEN" ]; then
  case "$*" in
    *racecheck*ops/linear*)
      echo '========= Error: Race reported between Write access at void softmax_kernel<float>(float *)+0x2b0'
      echo '=========     and Read access at void softmax_kernel<float>(float *)+0x2c0 [12 hazards]'
      summary='RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)' ;;
    *memcheck*ops/linear*)
      echo '========= Invalid __global__ read of size 4 bytes'
      echo '=========     at void map_kernel<float>(int, float *)+0x70'
      echo '=========     by thread (31,0,0) in block (3,0,0)'
      summary='ERROR SUMMARY: 1 error' ;;
    *initcheck*) echo 'Error: Device not supported'; exit 1 ;;
  esac
fi
echo "========= $summary"
case $summary in *' 0 '*) exit 0 ;; *) exit 99 ;; esac
"""

# The first call asks for the times of all launches, the second for details.
NCU = """
for option in "$@"; do
  case $option in --log-file=*) log=${option#*=} ;; --metrics=*) times=1 ;; esac
done
if [ -n "$BROKEN" ]; then echo '==ERROR== ERR_NVGPUCTRPERM - no permission to access counters' >"$log"; exit 1; fi
{
  echo '==PROF== Connected to process 7'
  if [ -n "$times" ]; then
    echo '"ID","Process ID","Kernel Name","Context","gpu__time_duration.sum"'
    echo '"","","","","ns"'
    for i in 0 1 2; do echo "\\"$i\\",\\"7\\",\\"void cria::map_kernel<float, Gate>(int, float *)\\",\\"1\\",\\"20,000\\""; done
    echo '"3","7","sm90_gemm_bf16","1","30,000"'
  else
    echo '"ID","Process ID","Kernel Name","Context","gpu__time_duration.sum","launch__registers_per_thread","sm__warps_active.avg.pct_of_peak_sustained_active","dram__bytes.sum.per_second","gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed","sm__throughput.avg.pct_of_peak_sustained_elapsed","smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio","smsp__average_warps_issue_stalled_wait_per_issue_active.ratio"'
    echo '"","","","","ns","register/thread","%","byte/second","%","%","inst","inst"'
    echo '"0","7","void cria::map_kernel<float, Gate>(int, float *)","1","20,000","54","71.4","2,500,000,000,000","74.6","20.1","9.0","1.0"'
    echo '"1","7","void cria::map_kernel<float, Relu>(int, float *)","1","90,000","54","71.4","2,500,000,000,000","74.6","20.1","9.0","1.0"'
  fi
} >"$log"
case "$*" in *'^(map_kernel|sm90_gemm_bf16)$'*) ;; *) [ -n "$times" ] || exit 1 ;; esac
"""

NO_DEVICE = "echo 'skipped: cuda: this machine has no NVIDIA driver; install one'; exit 77"


def program(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


class Pack:
    """A pack of stand-ins in a folder of its own."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())
        self.pack, self.output = self.folder / "pack", self.folder / "out"
        shutil.copytree(SOURCE / "benchmarks", self.pack / "benchmarks", ignore=shutil.ignore_patterns("*.cpp", "__pycache__"))
        (self.pack / "benchmarks/compare/torch_llama.py").write_text(TORCH)
        (self.folder / "python").mkdir()
        (self.folder / "python/torch.py").touch()
        (self.pack / "pack.json").write_text(json.dumps({
            "commit": "1234567", "compiler": "nvcc 13.0", "architecture": "90", "libraries": ["libcublas.so.13"],
            "text": "stories.txt", "vocabulary": 4096}))
        (self.pack / "reference_cpu.jsonl").write_text("".join(
            json.dumps({"iter": i, "loss": 8.3 + (9 - i) / 100, "lr": 0}) + "\n" for i in range(10)))
        (self.pack / "data").mkdir()
        (self.pack / "data/corpus.json").write_text('{"training": {"tokens": 243000}, "source": "text"}')
        for name, script in {"cria_cuda_tests": TESTS, "pretrain_llama_cuda_test": TRAINING_TESTS, "pretrain_llama": TRAINING,
                             "cria_llama_cuda": LLAMA, "ops_bench_cuda": BENCHMARK,
                             "train_step_bench_cuda": BENCHMARK}.items():
            program(self.pack / "bin" / name, script)
        self.tools = self.folder / "tools"
        for name, script in {"nvidia-smi": NVIDIA_SMI, "compute-sanitizer": SANITIZER, "ncu": NCU}.items():
            program(self.tools / name, script)
        library = self.folder / "toolkit/lib64/libcublas.so.13"
        library.parent.mkdir(parents=True)
        library.touch()

    def start(self, *options, **environment):
        base = {"PATH": f"{self.tools}:/usr/bin:/bin", "OUT": str(self.output), "CUDA_HOME": str(self.folder / "toolkit"),
                "PYTHONPATH": str(self.folder / "python"), "TMPDIR": str(self.folder)}
        return subprocess.Popen([sys.executable, self.pack / "benchmarks/gpu/run.py", *options], env=base | environment,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def report(self):
        return (self.output / "report.md").read_text()


class GpuPackTest(unittest.TestCase):
    def setUp(self):
        self.pack = Pack()
        self.addCleanup(shutil.rmtree, self.pack.folder)

    def run_pack(self, *options, **environment):
        process = self.pack.start(*options, **environment)
        output, _ = process.communicate(timeout=100)
        return process.returncode, output

    def check_lines(self, lines, text):
        for line in lines:
            self.assertIn(line, text)

    def test_all_is_well(self):
        code, output = self.run_pack()
        report = self.pack.report()
        self.assertEqual(code, 0, output + report)
        self.check_lines([
            "cria on NVIDIA H100 80GB HBM3", "| tests | 6 of 6 cases passed |",
            "| reference run | 10 iterations; the first 10 losses are the CPU's to 0.00010 |",
            "| 9 | 8.30000 | 8.30010 | 0.00010 |", "| 0 | 8.3901 | 8.3757 |",
            "| speed | 40 measurements |", "| cria (cuBLAS) | bfloat16 | 128 | 1,638,400 |  | 41 % | 1.0 s | 3,000 MB |",
            "| PyTorch compiled (2.11.0) | float32 | 32 | 163,840 | 1.25 |  | 9.0 s | 5,000 MB |",
            "| `rms_norm/forward/cuda/float32/rows:32768/cols:288` | 31.2 | 2,416 |  | 83 % |",
            "| sanitizers | 0 findings in 21 of 21 runs |", "| racecheck | 6 | 6 | 0 | 0 |",
            "| `void map_kernel<float, Gate>(int, float *)` | 3 | 0.060 | 66.7 % |",
            "| `void map_kernel<float, Gate>(int, float *)` | 20.0 | 54 | 71 % | 2,500 | 75 % | 20 % | "
            "long scoreboard 90 %, wait 10 % |", "| growth | 1 measurements |"], report)
        files = sorted(self.pack.output.rglob("*"))
        self.assertLessEqual(len(files), 8, files)
        self.assertTrue(all(file.is_file() for file in files), files)
        self.check_lines(["sanitizers     ", "the report is "], output)

    def test_what_fails_is_told_and_the_next_step_goes_on(self):
        start = time.monotonic()
        code, output = self.run_pack("--budget=20", BROKEN="1")
        report = self.pack.report()
        self.assertEqual(code, 1, output)
        self.assertLess(time.monotonic() - start, 30)
        self.check_lines([
            "| tests | 3 of 4 cases passed, 2 suites did not end well |", "### ops/linear/forward failed, but passes alone",
            "tests/ops/linear_test.cpp(7): check worst <= 0.001 has failed [0.25 > 0.001]\nFailure occurred in a following "
            "context:\n    float16", "### ops/rope: stopped after", "in the case ops/rope/hangs",
            "### cuda/mma: killed by SIGSEGV, in the case cuda/mma/tiles",
            "| reference run | losses differ from the CPU's by 1.13000; allowed: 0.003 |",
            "cria, float16, batch 32 failed: error: cuda: an illegal memory access", "| speed | 32 measurements, 8 failed |",
            "| operations | 1 measurements, failed with exit code 1: error: cuda: misaligned address |",
            "| `Invalid __global__ read of size 4 bytes in void map_kernel<float>(int, float *)` | memcheck | ops/linear | 1 |",
            "| `Error: Race reported in void softmax_kernel<float>(float *)` | racecheck | ops/linear | 1 |",
            "initcheck cuda/mma failed with exit code 1: Error: Device not supported", "| synccheck | 6 | 6 | 0 | 0 |",
            "| kernels | ncu failed with exit code 1 |", "ERR_NVGPUCTRPERM"], report)
        self.assertIn("error: cuda: an illegal memory access", (self.pack.output / "log.txt").read_text())

    def test_a_run_that_is_killed_leaves_what_came_so_far(self):
        for number, last in ((signal.SIGTERM, "| speed | stopped from outside |"), (signal.SIGKILL, "| speed | running |")):
            moment = self.pack.folder / f"reached {number}"
            process = self.pack.start(LLAMA_HANGS=str(moment))
            while not moment.exists() and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(number)
            process.communicate(timeout=30)
            self.check_lines([last, "6 of 6 cases passed", "the first 10 losses are the CPU's"], self.pack.report())

    def test_what_is_missing_is_skipped(self):
        for name in ("ncu", "compute-sanitizer"):
            (self.pack.tools / name).unlink()
        (self.pack.folder / "python/torch.py").unlink()
        code, output = self.run_pack()
        self.assertEqual(code, 0, output)
        self.check_lines(["| sanitizers | skipped: there is no compute-sanitizer |", "| kernels | skipped: there is no ncu |",
                          "PyTorch is left out: Python has no module torch", "| speed | 24 measurements |"], self.pack.report())

    def test_errors_are_one_sentence(self):
        program(self.pack.tools / "nvidia-smi", "echo 'NVIDIA A100, 8.0, 550.1, 40960 MiB, 1410 MHz, 400.00 W'")
        other = self.run_pack()
        (self.pack.tools / "nvidia-smi").unlink()
        for (code, output), sentence in (
                (other, "error: the GPU, NVIDIA A100, has compute capability 8.0, and the pack was made for sm_90"),
                (self.run_pack(), "error: nvidia-smi finds no GPU; --dry-run does what can be done without one"),
                (self.run_pack("--budget=none"), "error: argument --budget: invalid seconds value: 'none'; there are "),
                (self.run_pack(CUDA_HOME="", PATH="/nowhere"), "error: nvidia-smi finds no GPU")):
            self.assertEqual(code, 1)
            self.assertIn(sentence, output)
            self.assertEqual(output.count("\n"), 1, output)

    def test_a_dry_run_starts_each_program(self):
        for name in ("cria_cuda_tests", "pretrain_llama_cuda_test", "ops_bench_cuda", "train_step_bench_cuda",
                     "cria_llama_cuda"):
            program(self.pack.pack / "bin" / name, NO_DEVICE)
        (self.pack.pack / "lib").mkdir()
        with tarfile.open(self.pack.pack / "programs.tar.xz", "w:xz") as archive:  # as a pack comes
            for name in ("bin", "lib", "data"):
                archive.add(self.pack.pack / name, name)
                shutil.rmtree(self.pack.pack / name)
        code, output = self.run_pack("--dry-run", NO_DEVICE="1")
        self.assertEqual(code, 0, output)
        self.check_lines(["tests, 85 s: ", "cria_llama_cuda: skipped: cuda: this machine has no NVIDIA driver",
                          "pretrain_llama on the CPU: step 0: train loss"], output)
        (self.pack.pack / "bin/ops_bench_cuda").write_text("#!/bin/sh\necho 'libbenchmark.so.1: cannot open'; exit 127")
        code, output = self.run_pack("--dry-run", NO_DEVICE="1")
        self.assertEqual(code, 1, output)
        self.assertIn("ops_bench_cuda: error: failed with exit code 127: libbenchmark.so.1: cannot open", output)


unittest.main()
