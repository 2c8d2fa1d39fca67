#!/usr/bin/env bash
# Trains the reference Llama with cria, PyTorch and JAX in turn, and writes docs/comparison.{json,md,svg}. Installs
# PyTorch and JAX (5 GB) into a virtual environment under build/. On a machine's first run all ways to run PyTorch are tried
# (eager, compiled, max-autotune, each with three allocators, some 20 minutes); the fastest is kept in build/compare-choice.json.
# Arguments go on to compare.py: --rounds=5 --steps=6 --batches=16,128.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
python=$root/build/compare-python

"$root/.ci/install_packages.sh" python3-venv libjemalloc2 libtcmalloc-minimal4
[ -x "$python/bin/python" ] || python3 -m venv "$python"
"$python/bin/pip" install --quiet torch 'jax[cpu]' optax numpy
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_BUILD_BENCHMARKS=ON >/dev/null
cmake --build "$build" --target cria_llama
library() { ldconfig -p | sed -n "s/.*$1 .*=> //p" | head -n 1; }
exec "$python/bin/python" "$here/compare.py" --cria="$build/benchmarks/cria_llama" \
  --allocators="jemalloc=$(library 'libjemalloc\.so\.2'),tcmalloc=$(library 'libtcmalloc_minimal\.so\.4')" "$@"
