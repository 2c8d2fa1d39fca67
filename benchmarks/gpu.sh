#!/usr/bin/env bash
# For whoever has a GPU: builds for it, runs all CUDA tests, plainly and under compute-sanitizer, the benchmarks of
# operations and training steps, the reference run's 101 iterations beside their log, and PyTorch beside cria, and writes
# docs/gpu_report.md. It needs a driver and a CUDA toolkit, asks nothing, and ends within ten minutes: what fails or runs
# out of time is in the report, the next step goes on, and the exit code is 1.
#   --text=FILE    what the reference run learns: TinyStories, if the log is to be met; else the embedded corpus
#   --python=FILE  a Python that has torch; else that of compare/run.sh, or python3
#   --output=DIR   where gpu_report.md goes (docs; of a dry run, the build folder)
#   --build=DIR    where programs are built (build/gpu)
#   --skip-build   takes the programs that lie there
#   --dry-run      without a GPU: says what each step would run, and for how long at most; builds one program if there is
#                  an nvcc, and sees that each program that is there ends and says that there is no device
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/gpu
output=''
python=$root/build/compare-python/bin/python
[ -x "$python" ] || python=python3
text='' skip_build=false dry_run=false
for option in "$@"; do
  case $option in
    --text=*) text=${option#*=} ;;
    --python=*) python=${option#*=} ;;
    --output=*) output=${option#*=} ;;
    --build=*) build=${option#*=} ;;
    --skip-build) skip_build=true ;;
    --dry-run) dry_run=true ;;
    *) echo "error: unknown option $option; there are --text, --python, --output, --build, --skip-build and --dry-run" >&2
       exit 1 ;;
  esac
done
[ -z "$text" ] || [ -f "$text" ] || { echo "error: --text is $text; it must be a file" >&2; exit 1; }

if $dry_run; then
  export CUDA_VISIBLE_DEVICES=  # hides what there is
  gpu='no device' capability=9.0
elif ! facts=$(nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv,noheader -i 0 2>/dev/null); then
  echo "error: nvidia-smi finds no GPU; --dry-run does what can be done without one" >&2
  exit 1
else
  gpu=${facts%%,*}
  capability=$(cut -d, -f2 <<<"$facts" | tr -d ' ')
fi
architecture=${capability/./}
export PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
nvcc=$(command -v nvcc || echo nvcc)
sanitizer=$(command -v compute-sanitizer || echo compute-sanitizer)

work=$build/report
if [ -z "$output" ]; then
  $dry_run && output=$work || output=$root/docs
fi
mkdir -p "$work" "$output" || exit 1
rm -rf "$work"/*.{log,json,tsv,md} "$work/run" "$output"/gpu_{report,reference_run}.md
deadline=$((SECONDS + 570))
failed=0

# step NAME SECONDS NEEDED COMMAND...: runs the command for so long at most, if the file NEEDED is there. What it prints
# goes to NAME.log, how it ended to steps.tsv.
step() {
  local name=$1 limit=$2 needed=$3 result status start=$SECONDS
  shift 3
  [ "$limit" -le $((deadline - SECONDS)) ] || limit=$((deadline - SECONDS))
  echo "$name, $limit s at most: $*"
  if [ ! -e "$needed" ]; then
    result="skipped: there is no ${needed#"$root"/}"
    $dry_run || failed=1
  elif [ "$limit" -le 0 ]; then
    result='skipped: no time was left'
    failed=1
  else
    timeout --kill-after=5 "$limit" "$@" >"$work/$name.log" 2>&1
    status=$?
    if $dry_run && grep -qE 'no NVIDIA driver|finds no device|has no module|\*\*\*Skipped' "$work/$name.log"; then
      result="ended as it should without a device"
    elif [ $status -eq 0 ]; then
      result=passed
    elif [ $status -eq 124 ] || [ $status -eq 137 ]; then
      result="stopped after $limit s"
      failed=1
    else
      result="failed with exit code $status"
      failed=1
    fi
  fi
  echo "  $result"
  printf '%s\t%s\t%s\n' "$name" "$result" $((SECONDS - start)) >>"$work/steps.tsv"
}

tests=$build/tests/cria_cuda_tests
benchmarks=$build/benchmarks
pretrain=$build/examples/pretrain_llama/pretrain_llama
reference=$root/examples/pretrain_llama/configs/reference.toml
targets=(cria_cuda_tests pretrain_llama_cuda_test pretrain_llama ops_bench_cuda train_step_bench_cuda cria_llama_cuda)
if [ -n "$text" ]; then
  corpus=(--input="$text" --vocab_size=4096)
else
  corpus=(--stories=20000 --vocab_size=3072)  # the grammar has not words for more pieces
fi

if ! $skip_build; then
  if $dry_run; then
    targets=(cria_llama_cuda)
  else
    step packages 120 "$root/.ci/install_packages.sh" "$root/.ci/install_packages.sh"
  fi
  step configure 60 "$nvcc" cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_CUDA=ON \
    -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_ARCHITECTURES="$architecture"
  step build 330 "$nvcc" cmake --build "$build" --target "${targets[@]}" -- -k 0
fi
step tests 90 "$tests" ctest --test-dir "$build" -L '^cuda$' -E 'nvcc|gpu_script' -j 4 --output-on-failure --no-tests=error
step ops 100 "$benchmarks/ops_bench_cuda" "$benchmarks/ops_bench_cuda" --benchmark_min_time=0.02 \
  --benchmark_out="$work/ops.json" --benchmark_out_format=json
step train_step 60 "$benchmarks/train_step_bench_cuda" "$benchmarks/train_step_bench_cuda" --benchmark_min_time=0.1 \
  --benchmark_filter=/length:256/ --benchmark_out="$work/train_step.json" --benchmark_out_format=json
step prepare 60 "$pretrain" "$pretrain" prepare "${corpus[@]}" --data_dir="$work/data" --overwrite=true
step reference_run 60 "$pretrain" "$pretrain" train --config="$reference" "${corpus[1]}" --data_dir="$work/data" \
  --out_dir="$work/run" --overwrite=true --device=cuda --max_iters=100 --lr_decay_iters=100000 --eval_iters=20
step reference_report 10 "$work/run/metrics.jsonl" "$python" "$root/benchmarks/reference_run/report.py" "$work" \
  "$root/benchmarks/reference_run/train_log.txt" "$output/gpu_reference_run" "$gpu"
if $dry_run; then
  step torch 60 "$root/benchmarks/compare/torch_llama.py" "$python" "$root/benchmarks/compare/torch_llama.py" \
    --device=cuda --dtype=bfloat16 --batch=128 --steps=12
fi
step compare 200 "$benchmarks/cria_llama_cuda" "$python" "$root/benchmarks/compare/compare.py" --device=cuda \
  --cria="$benchmarks/cria_llama_cuda" --rounds=2 --steps=12 --batches=128 --output="$work"
# Last, because they take what time is left.
export CRIA_CUDA_PASS_THROUGH=1  # each tensor is an allocation of its own, so that reads beyond it are seen
step memcheck 120 "$sanitizer" "$sanitizer" --tool=memcheck --report-api-errors=no --error-exitcode=1 "$tests"
step racecheck 120 "$sanitizer" "$sanitizer" --tool=racecheck --error-exitcode=1 "$tests" \
  --run_test=ops,cuda

"$python" "$root/benchmarks/gpu_report.py" "$work" "$output/gpu_report.md" "$gpu" "${facts:-}" || failed=1
exit $failed
