#!/usr/bin/env bash
# Trains a series of depths on the embedded corpus, each on several numbers of tokens, and writes the losses above the corpus's
# floor, beside the operations that they took, and a law fitted to them to docs/scaling.{md,svg}; besides runs with other
# learning rates and batches. Models are small, so that it takes some 15 minutes on one fast core. Losses do not depend on the
# number of threads. Options are passed on to train.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
work=$root/output/scaling

"$root/.ci/install_packages.sh" python3
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" --target pretrain_llama
pretrain=$build/examples/pretrain_llama/pretrain_llama
[ -f "$work/data/corpus.json" ] || "$pretrain" prepare --stories=60000 --data_dir="$work/data"

# run DEPTH TOKENS SEQUENCES RATE...: trains on TOKENS x 1,024 tokens, SEQUENCES x 256 an iteration, at a rate of RATE / dim,
# and evaluates on all of the validation text, each token with at least 192 before it.
run() {
  local out=$work/depth-$1-tokens-$2-batch-$3-rate-$4 rate
  [ -f "$out/loss" ] && return
  rate=$(python3 -c "print($4 / 32 / $1)")
  "$pretrain" train --depth="$1" --data_dir="$work/data" --out_dir="$out" --overwrite=true --batch_size="$3" \
    --max_iters=$(($2 * 4 / $3 - 1)) --learning_rate="$rate" --min_lr="$(python3 -c "print($rate / 10)")" \
    --eval_interval=1000000 --eval_iters=1 --log_interval=100 "${@:5}"
  "$pretrain" eval --checkpoint="$out/ckpt" --ids="$work/data/tok1024/00000_validation.bin" --stride=64 | tee "$out/evaluated"
  mv "$out/evaluated" "$out/loss"
}

for depth in 1 2 3 4; do
  for tokens in 1024 2048 4096 8192; do
    case $depth-$tokens in 3-8192 | 4-4096 | 4-8192) continue ;; esac  # the longest ones
    run "$depth" "$tokens" 8 0.4 "$@"
  done
done
for depth in 2 3; do
  for rate in 0.2 0.8; do run "$depth" 1024 8 "$rate" "$@"; done
done
for sequences in 4 16 32; do run 2 1024 "$sequences" 0.4 "$@"; done
python3 "$here/report.py" "$work" "$root/docs/scaling"
