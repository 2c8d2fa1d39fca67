#!/bin/bash
# Faults of processes that train together: each ends all of them with one sentence and leaves the last checkpoint
# as it was, and launch goes on from that. faults.sh PROGRAM FOLDER. mpirun is set up by script.cmake.
set -u
program=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder"/{a,b}
cd "$folder" || exit 1

fail() {
  echo "$1" >&2
  cat output errors >&2
  exit 1
}
# ends STATUS PATTERN COMMAND...: it ends with that status and one sentence.
ends() {
  local status=$1 pattern=$2
  shift 2
  "$@" >output 2>errors
  local got=$?
  [ $got = "$status" ] || fail "$*: exit status $got, not $status"
  has_one_sentence "$pattern"
}
has_one_sentence() {
  [ "$(grep -c '^error: ' errors)" = 1 ] || fail "there is not one sentence"
  grep -Eq "^error: $1" errors || fail "the sentence is not: $1"
}
wait_for() {  # FILE PATTERN
  for _ in $(seq 600); do
    grep -q "$2" "$1" 2>/dev/null && return
    sleep 0.05
  done
  fail "$1 never has $2"
}

options="--vocab_size=320 --max_seq_len=16 --dim=16 --n_layers=1 --n_heads=2 --n_group=1 --batch_size=256 --threads=1
  --eval_interval=20 --eval_iters=2 --always_save_checkpoint=true --peak_flops=1e12 --lr_decay_iters=4 --data_dir=data"
prepare="$program prepare --vocab_size=320 --stories=300 --max_seq_len=16"
(cd a && $prepare --data_dir=data && ln -s "$PWD/data" ../data) >output 2>errors || fail "prepare"
(cd b && $prepare --data_dir=data --seed=2) >output 2>errors || fail "prepare"
process='process [1-4] of [24] on host [^ ]+'
begun() { wait_for "$1/metrics.jsonl" '"iter":22,'; }
children() { pgrep -P "$1" -x pretrain_llama; }

# Disagreement, and what all find alike.
ends 1 "$process: --batch_size is 6; it must be a multiple of the 4 processes" \
  mpirun -n 4 "$program" train $options --batch_size=6 --out_dir=x
ends 1 "$process: --seed of process 2 of 2 on host [^ ]+ is not that of process 1 of 2 on host" \
  mpirun -n 1 "$program" train $options --out_dir=x : -n 1 "$program" train $options --out_dir=x --seed=5
ends 1 "$process: the tokenizer that process 2 of 2 on host [^ ]+ has in --data_dir=data is not that of process 1" \
  mpirun -n 1 --wdir a "$program" train $options --out_dir=x : -n 1 --wdir b "$program" train $options --out_dir=x
(cat "$program" && echo) >other && chmod +x other
ends 1 "$process: the program of process 2 of 2 on host [^ ]+ is not that of process 1 of 2 on host" \
  mpirun -n 1 "$program" train $options --out_dir=x : -n 1 ./other train $options --out_dir=x

# A full disk, as a limit of what a file may hold.
mpirun -n 2 "$program" train $options --max_iters=2 --out_dir=full >output 2>errors || fail "train"
before=$(sha256sum full/ckpt/*)
ends 1 "process 1 of 2 on host [^ ]+: full/ckpt[^ ]*: .*File too large" \
  env OMPI_MCA_btl=self,tcp mpirun -n 1 bash -c 'trap "" XFSZ; ulimit -f 16; exec "$0" "$@"' "$program" train --init_from=resume --max_iters=4 --out_dir=full \
  : -n 1 "$program" train --init_from=resume --max_iters=4 --out_dir=full
[ "$(sha256sum full/ckpt/*)" = "$before" ] || fail "a full disk has changed the checkpoint"

# A process that is stopped: the others name it, also those that wait for one that waits.
mpirun -n 4 "$program" train $options --max_iters=1000000 --timeout=2 --out_dir=stopped >output 2>errors &
run=$!
begun stopped
pid=$(children $run | tail -1)
kill -STOP "$pid"
SECONDS=0
wait $run
[ $? = 1 ] || fail "a run with a stopped process does not end with 1"
[ $SECONDS -lt 15 ] || fail "a run with a stopped process ends after $SECONDS s"
has_one_sentence "process [123] of 4 on host [^ ]+: mpi: all have waited for process 4 of 4 on host [^ ]+ for 2 s; it hangs, was stopped"
[ -e stopped/ckpt/manifest.json ] || fail "there is no checkpoint"

# A process that is killed is started again with the others.
"$program" launch -n 2 -- train $options --max_iters=60 --out_dir=killed >output 2>errors &
run=$!
begun killed
kill -KILL "$(children "$(pgrep -P $run -x mpirun)" | tail -1)"
wait $run || fail "launch does not go on after a process was killed"
grep -Eq '^process [12] on host .* was ended by signal 9 .*; starting 2 processes again' errors || fail "launch does not say why"
mpirun -n 2 "$program" train $options --max_iters=60 --out_dir=whole >output 2>errors || fail "train"
cmp killed/ckpt/model.safetensors whole/ckpt/model.safetensors || fail "the run that was started again has other weights"

# An interrupt lets all save and end.
"$program" launch -n 2 -- train $options --max_iters=1000000 --out_dir=interrupted >output 2>errors &
run=$!
begun interrupted
kill -TERM $run
wait $run || fail "an interrupted launch does not end with 0"
grep -q 'stopped after iteration .*; go on with' output || fail "an interrupted launch does not save"

# What launch refuses.
ends 1 'launch starts processes that train; write: pretrain_llama launch -n 4 -- train OPTIONS' "$program" launch -n 2 -- generate
ends 1 'there are 3 processes; their number must be a power of two' "$program" launch -n 3 -- train $options
ends 1 'there is no mpirun in the PATH; install openmpi-bin' env PATH=/nowhere "$program" launch -n 2 -- train $options
ends 1 'unknown option --max_iter of `train`; did you mean --max_iters' "$program" launch -n 2 -- train --max_iter=2
echo "faults are named, and launch goes on after them"
