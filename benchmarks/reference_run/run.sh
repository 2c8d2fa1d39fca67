#!/usr/bin/env bash
# The first 101 iterations of the reference run (configs/reference.toml, bfloat16) on a text file, beside the log of the
# original: run.sh stories.txt. Writes docs/reference_run.{md,svg}; half an hour on two fast cores. With --device=cuda it
# runs on this machine's GPU and writes docs/reference_run_cuda.{md,svg}. Other options are passed on to train, too.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: run.sh TEXT [options of train]" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
output=$root/docs/reference_run
machine="$(nproc) cores"
options=()
text=$1
shift
if [[ " $* " == *" --device=cuda "* ]]; then
  machine=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1)
  build=$root/build/cuda
  output=${output}_cuda
  options=(-DCRIA_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native)
fi
work=$root/output/${output##*/}

"$root/.ci/install_packages.sh" python3
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${options[@]}" >/dev/null
cmake --build "$build" --target pretrain_llama
pretrain=$build/examples/pretrain_llama/pretrain_llama
[ -f "$work/data/corpus.json" ] || "$pretrain" prepare --input="$text" --vocab_size=4096 --data_dir="$work/data"
"$pretrain" train --config="$root/examples/pretrain_llama/configs/reference.toml" --data_dir="$work/data" \
  --out_dir="$work/run" --overwrite=true --max_iters=100 --lr_decay_iters=100000 "$@"
python3 "$here/report.py" "$work/run/metrics.jsonl" "$work/data" "$here/train_log.txt" "$output" "$machine"
