#!/usr/bin/env bash
# Installs what is missing (Debian), builds and runs all tests. The last line is "N passed, N failed" (", N skipped").
# CXX chooses the compiler; each has a build folder of its own.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=${CXX:-g++}
build=$root/build/tests-$(basename "$compiler")

"$root/.ci/install_packages.sh" libopenmpi-dev openmpi-bin || { echo "0 passed, 1 failed"; exit 1; }
# With ninja's own number of jobs, two more than there are cores, compilers take each other's cache: a tenth more time.
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
  -DCRIA_BUILD_BENCHMARKS=OFF &&
  cmake --build "$build" -j "$(nproc)" || { echo "the build failed"; echo "0 passed, 1 failed"; exit 1; }

log=$build/tests.log
ctest --test-dir "$build" --output-on-failure --no-tests=error -j"$(nproc)" | tee "$log"
ctest_status=${PIPESTATUS[0]}
failed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*(\*\*\*(Failed|Exception|Timeout|Not Run))' "$log" || true)
skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*Skipped' "$log" || true)
passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed' "$log" || true)
[ "$ctest_status" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
if [ "$skipped" -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
