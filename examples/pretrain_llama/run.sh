#!/usr/bin/env bash
# Installs what is missing (Debian), builds, makes the embedded corpus, trains the tiny preset and writes stories. Started
# again it goes on with the run, or shows what came of it. Arguments go on to `pretrain_llama train`. Work lies in
# build/release and output/tiny.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
data=$root/output/tiny/data
out=$root/output/tiny/run
chosen=no
for argument in "$@"; do
  case "$argument" in
    --out_dir=*) out=${argument#--out_dir=} ;;
    --data_dir=*) data=${argument#--data_dir=} ;;
    --init_from=* | --overwrite=*) chosen=yes ;;
  esac
done
say() { printf '== %s\n' "$*"; }

say "Installs what is missing (a minute), builds (about 4 minutes on two cores), makes a corpus (half a minute), trains"
say "(about 10 minutes) and writes stories. Ctrl-C may stop it at any time: started again, it goes on where it was."

say "1 of 5: packages"
"$root/.ci/install_packages.sh"

say "2 of 5: the program"
mkdir -p "$build"
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_BUILD_TESTS=OFF -DCRIA_BUILD_BENCHMARKS=OFF \
  -DCRIA_BUILD_EXAMPLES=ON >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; exit 1; }
NINJA_STATUS='[%f of %t, %e s] ' cmake --build "$build" --target pretrain_llama
pretrain=$build/examples/pretrain_llama/pretrain_llama

say "3 of 5: the corpus"
[ -f "$data/corpus.json" ] || "$pretrain" prepare --vocab_size=1024 --stories=60000 --data_dir="$data"

say "4 of 5: training"
again=()
for checkpoint in "$out"/ckpt{,.new,.previous}; do
  if [ "$chosen" = no ] && [ -e "$checkpoint" ]; then again=(--init_from=resume); fi
done
if [ ${#again[@]} -gt 0 ]; then say "the run in $out goes on; --overwrite=true begins a new one in its place"; fi
"$pretrain" train --config="$here/configs/tiny.toml" --data_dir="$data" --out_dir="$out" "${again[@]}" "$@"

model=$out/best
[ -d "$model" ] || model=$out/ckpt  # a run that ended before it was evaluated has no best
say "5 of 5: stories by the model in $model"
printf '\n'
"$pretrain" generate --checkpoint="$model" --temperature=0.8 --num_samples=3 --max_new_tokens=220
printf '\nLoss of the best model on stories that it has not seen, beside the least possible:\n'
grep -h '"val_loss"' "$out/metrics.jsonl" | sed -E 's/.*"val_loss":([0-9.]+).*/\1/' | sort -g | head -n 1 |
  awk '{ printf "  validation loss  %.4f nats per token\n", $1 }'
sed -n '/"validation"/,/}/s/.*"nats_per_token": *\([0-9.]*\).*/\1/p' "$data/corpus.json" |
  awk '{ printf "  floor            %.4f nats per token\n", $1 }'
printf '  data             %s\n  model, metrics   %s\n' "$data" "$out"
