#!/usr/bin/env bash
# How a training step grows with the batch (1 to 256), the length (128 to 8,192), the width (288 to 2,048) and the threads: the
# table of docs/performance.md, and what is a cliff in it. Takes some ten minutes of a quiet machine for each dtype. Arguments
# go on to train_step_bench: --benchmark_filter=float32.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release
results=$(mktemp)
trap 'rm -f "$results"' EXIT

"$root/.ci/install_packages.sh"
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_BUILD_BENCHMARKS=ON >/dev/null
cmake --build "$build" --target train_step_bench >&2
"$build/benchmarks/train_step_bench" --benchmark_out="$results" --benchmark_out_format=json "$@" >&2
python3 "$root/benchmarks/sweep.py" "$results"
