#!/usr/bin/env bash
# How fast a training step of a small Llama is (float32 and bfloat16, one thread, Eigen) in each way that a program may be
# compiled, relative to cria::fast: a table. CXX chooses the compiler.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=${CXX:-g++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/.ci/install_packages.sh"
fast="-O3 -march=native -mprefer-vector-width=512 -ffp-contract=fast -fno-math-errno -fno-trapping-math"
ways=("$fast -fopenmp" "$fast -fopenmp-simd -DCRIA_OPENMP_SIMD" "$fast" "-O3 -march=native -fopenmp" "-O3 -fopenmp"
  "-O2 -fopenmp" "-O2" "")

# Seconds of `$1` steps.
seconds() {
  local start end
  start=$(date +%s.%N)
  OMP_NUM_THREADS=1 "$work/steps" "$1" >/dev/null
  end=$(date +%s.%N)
  awk -v a="$start" -v b="$end" 'BEGIN { print b - a }'
}

best=
echo "| options | time |"
echo "| --- | ---: |"
for way in "${ways[@]}"; do
  # shellcheck disable=SC2086
  "$compiler" -std=c++20 $way -w -I"$root/include" -I/usr/include/eigen3 \
    "$root/benchmarks/instructions/small_steps.cpp" -o "$work/steps"
  one=$(seconds 1)
  steps=$(awk -v one="$one" 'BEGIN { print one > 0.5 ? 3 : 41 }')
  many=$(seconds "$steps")
  again=$(seconds "$steps")
  step=$(awk -v one="$one" -v many="$many" -v again="$again" -v steps="$steps" \
    'BEGIN { print ((many < again ? many : again) - one) / (steps - 1) }')
  best=${best:-$step}
  awk -v way="${way:-none at all}" -v step="$step" -v best="$best" \
    'BEGIN { printf "| `%s` | %.1f |\n", way, step / best }'
done
