#!/usr/bin/env bash
# Trains a small model of a text with AdamW and with Muon, 300 iterations at three learning rates each, and writes the
# validation losses to docs/optimizers.{md,svg}. Ten minutes on two fast cores. --text=FILE: a megabyte of text or so, as the
# first thousand stories of TinyStories; else the embedded corpus. --device=cuda is passed on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
work=$root/output/optimizers
corpus=(--stories=4000) text='the embedded corpus' more=()
for option in "$@"; do
  case $option in
    --text=?*) corpus=(--input="${option#*=}") text=$(basename "${option#*=}") ;;
    *) more+=("$option") ;;
  esac
done

"$root/.ci/install_packages.sh" python3
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" --target pretrain_llama
pretrain=$build/examples/pretrain_llama/pretrain_llama
"$pretrain" prepare "${corpus[@]}" --vocab_size=1024 --data_dir="$work/data" --overwrite=true
for run in adamw-2e-3 adamw-4e-3 adamw-8e-3 muon-4e-3 muon-8e-3 muon-1.6e-2; do
  "$pretrain" train --data_dir="$work/data" --out_dir="$work/$run" --overwrite=true --vocab_size=1024 --dim=128 --n_layers=4 \
    --n_heads=4 --n_group=2 --batch_size=16 --gradient_accumulation_steps=1 --max_iters=300 --warmup_iters=30 \
    --eval_interval=15 --eval_iters=20 --optimizer="${run%%-*}" --learning_rate="${run#*-}" "${more[@]}"
done
python3 "$here/report.py" "$work" "$text" "$root/docs/optimizers"
