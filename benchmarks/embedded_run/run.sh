#!/usr/bin/env bash
# Trains the reference model on so much of the embedded corpus that no story is seen twice (16.4 million tokens), and
# writes the validation loss beside the corpus's floor, and samples, to docs/embedded_run.{md,svg}. Twenty minutes on two
# fast cores. Options are passed on to train.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
work=$root/output/embedded

"$root/.ci/install_packages.sh" python3
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" --target pretrain_llama
pretrain=$build/examples/pretrain_llama/pretrain_llama
# The grammar has words for 3,345 pieces at most.
[ -f "$work/data/corpus.json" ] || "$pretrain" prepare --stories=120000 --vocab_size=3072 --data_dir="$work/data"
"$pretrain" train --data_dir="$work/data" --out_dir="$work/run" --overwrite=true --vocab_size=3072 --dtype=bfloat16 --batch_size=32 \
  --gradient_accumulation_steps=1 --max_iters=2000 --lr_decay_iters=2000 --learning_rate=5e-4 --warmup_iters=100 \
  --eval_interval=100 --eval_iters=8 "$@"
"$pretrain" generate --checkpoint="$work/run/best" --prompt="Once upon a time" --num_samples=3 --temperature=0.8 \
  --seed=1 >"$work/samples.txt"
python3 "$here/report.py" "$work" "$root/docs/embedded_run"
