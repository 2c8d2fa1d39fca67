#!/usr/bin/env bash
# How fast a training step of a small Llama is (float32 and bfloat16, one thread) in each way that a program may be
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

# The processor's seconds for `$1` steps, whatever else it does meanwhile.
seconds() {
  local TIMEFORMAT=%U
  { time OMP_NUM_THREADS=1 "$work/steps" "$1" >"$work/loss"; } 2>&1
}

best=
echo "| options | time |"
echo "| --- | ---: |"
for way in "${ways[@]}"; do
  # shellcheck disable=SC2086
  "$compiler" -std=c++20 $way -w -I"$root/include" \
    "$root/benchmarks/instructions/small_steps.cpp" -o "$work/steps"
  # A step by the difference of 21 and 1; the least of nine, since other programs may disturb.
  step=$(for _ in 1 2 3 4 5 6 7 8 9; do
    printf '%s %s\n' "$(seconds 1)" "$(seconds 21)"
  done | awk '{ one = NR == 1 || $1 < one ? $1 : one; many = NR == 1 || $2 < many ? $2 : many }
              END { print (many - one) / 20 }')
  best=${best:-$step}
  awk -v way="${way:-none at all}" -v step="$step" -v best="$best" \
    'BEGIN { printf "| `%s` | %.1f |\n", way, step / best }'
done
