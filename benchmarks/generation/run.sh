#!/usr/bin/env bash
# How many tokens a second a text is written with: cria (float32, bfloat16), a page of C, and PyTorch, with the same weights,
# greedily, 200 tokens, one text, cria also 8 at once; the reference model and one of 110 million parameters. Each in turn, a
# process of its own, three rounds; the best counts. Installs PyTorch into a virtual environment under build/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
python=$root/build/compare-python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/.ci/install_packages.sh" python3-venv
[ -x "$python/bin/python" ] || python3 -m venv "$python"
"$python/bin/pip" install --quiet torch numpy
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_BUILD_BENCHMARKS=ON >/dev/null
cmake --build "$build" --target generation >&2
cc -Ofast -fopenmp -march=native "$here/plain_llama.c" -lm -o "$work/plain_llama"

for size in small 110m; do
  echo "$size"
  for _ in 1 2 3; do
    "$build/benchmarks/generation" "$size" float32 "$work/weights"
    "$work/plain_llama" "$work/weights"
    "$python/bin/python" "$here/torch_llama.py" "$work/weights"
    "$build/benchmarks/generation" "$size" bfloat16 "$work/weights"
    "$build/benchmarks/generation" "$size" float32 "$work/weights" 200 8
    "$build/benchmarks/generation" "$size" bfloat16 "$work/weights" 200 8
  done
done
