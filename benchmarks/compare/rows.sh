#!/usr/bin/env bash
# Times rows of cria beside PyTorch's, in turns, and prints a table: rows.sh operators, or rows.sh networks. Installs PyTorch
# into a virtual environment under build/. Further arguments go on to rows.py: --rounds=3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
python=$root/build/compare-python
what=${1:-}
case $what in
  operators | networks) shift ;;
  *)
    echo "error: the first argument is '$what'; it must be operators or networks" >&2
    exit 1
    ;;
esac

"$root/.ci/install_packages.sh" python3-venv
[ -x "$python/bin/python" ] || python3 -m venv "$python"
"$python/bin/pip" install --quiet torch numpy
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_BUILD_BENCHMARKS=ON >/dev/null
cmake --build "$build" --target "${what}_bench"
exec "$python/bin/python" "$here/$what.py" --cria="$build/benchmarks/${what}_bench" "$@"
