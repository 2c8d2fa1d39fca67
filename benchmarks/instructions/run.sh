#!/usr/bin/env bash
# Guards against getting slower without timing anything: counts the instructions of a training step of a small model
# (float32 and bfloat16, one thread, AVX2) and compares them with recorded.txt. Prints pass or fall; exit code 1
# if there are more than 10 % more. CXX chooses the compiler; --record writes the count down.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
compiler=$(basename "${CXX:-g++}")
build=$root/build/instructions-$compiler

"$root/.ci/install_packages.sh" valgrind
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" -DCRIA_NATIVE=OFF \
  -DCRIA_ONEDNN=OFF -DCMAKE_CXX_FLAGS=-march=x86-64-v3 >/dev/null
cmake --build "$build" --target small_steps >&2

count() {
  OMP_NUM_THREADS=1 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$build/benchmarks/small_steps" "$1" 2>&1 |
    sed -n 's/.*Collected : //p'
}
one=$(count 1)
three=$(count 3)
step=$(((three - one) / 2))
recorded=$(sed -n "s/^$compiler //p" "$here/recorded.txt")
if [ "${1:-}" = --record ]; then
  { grep -v "^$compiler " "$here/recorded.txt" || true; echo "$compiler $step"; } | sort >"$here/recorded.new"
  mv "$here/recorded.new" "$here/recorded.txt"
  echo "recorded: $compiler, $step instructions a step"
elif [ -z "$recorded" ]; then
  echo "fall: no count is recorded for $compiler; run.sh --record writes it down"
  exit 1
else
  change=$(awk -v now="$step" -v then="$recorded" 'BEGIN { printf "%+.1f", (now / then - 1) * 100 }')
  if awk -v now="$step" -v then="$recorded" 'BEGIN { exit !(now <= 1.1 * then) }'; then verdict=pass; else verdict=fall; fi
  echo "$verdict: $compiler, $step instructions a step, $recorded recorded ($change %)"
  [ $verdict = pass ]
fi
