#!/usr/bin/env bash
# Processes on this machine: how fast they exchange gradients, and what a training run of the reference model makes of its
# cores, as one process with threads and as several, with the optimiser shared or not, and saving while it trains.
# Installs MPI and what building needs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1

"$root/.ci/install_packages.sh" libopenmpi-dev openmpi-bin
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_BUILD_BENCHMARKS=ON >/dev/null
cmake --build "$build" --target exchange pretrain_llama >&2

for count in 2 4; do mpirun -n "$count" "$build/benchmarks/exchange"; done

pretrain=$build/examples/pretrain_llama/pretrain_llama
"$pretrain" prepare --vocab_size=2048 --data_dir="$work/data" >/dev/null
# train NAME PROCESSES OPTION...: tokens a second in the mean of ten iterations, and the memory of the first process
train() {
  local name=$1 count=$2
  shift 2
  mpirun -n "$count" "$pretrain" train --data_dir="$work/data" --out_dir="$work/run" --overwrite=true --vocab_size=2048 \
    --gradient_accumulation_steps=1 --max_iters=10 --eval_interval=1000 --eval_iters=1 --peak_flops=1e12 "$@" |
    awk -v name="$name" '/^done/ { tokens = $6 } /peak memory/ { memory = $3 }
                         END { printf "%-52s %7.0f tokens/s %8.1f MB\n", name, tokens, memory }'
}
for round in 1 2 3; do
  echo "round $round"
  train "1 process of 1 thread, batch 16" 1 --threads=1 --batch_size=16
  train "1 process of 2 threads, batch 32" 1 --threads=2 --batch_size=32
  train "2 processes of 1 thread, batch 32" 2 --threads=1 --batch_size=32
  train "4 processes of 1 thread, batch 64" 4 --threads=1 --batch_size=64
  train "2 processes of 1 thread, batch 16" 2 --threads=1 --batch_size=16
  train "2 processes, batch 32, --shard=optimizer" 2 --threads=1 --batch_size=32 --shard=optimizer
  train "2 processes, batch 32, --reduce_dtype=bfloat16" 2 --threads=1 --batch_size=32 --reduce_dtype=bfloat16
done
# A checkpoint of 100 MB after each second iteration, the rate of which counts the time that it takes.
for async in false true; do
  start=$(date +%s.%N)
  train "saving, --async_save=$async" 1 --batch_size=16 --max_iters=20 --eval_interval=4 --always_save_checkpoint=true \
    --async_save=$async
  awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "  %.1f s in all\n", b - a }'
done
