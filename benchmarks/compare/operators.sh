#!/usr/bin/env bash
# Times cria's operators beside PyTorch's, in turns, and prints a table. Installs PyTorch into a virtual environment under
# build/. Arguments go on to operators.py: --rounds=3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
python=$root/build/compare-python

"$root/.ci/install_packages.sh" python3-venv
[ -x "$python/bin/python" ] || python3 -m venv "$python"
"$python/bin/pip" install --quiet torch numpy
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_BUILD_BENCHMARKS=ON >/dev/null
cmake --build "$build" --target operators_bench
exec "$python/bin/python" "$here/operators.py" --cria="$build/benchmarks/operators_bench" "$@"
