#!/usr/bin/env bash
# Tests cria on a GPU and measures it there: builds a pack, a folder with all that is needed, and runs it, within nine
# minutes after the build. docs/gpu.md says what it does and how its report is to be read.
#   --pack=DIR         only makes the pack, in DIR, for a machine that may have no compiler and no network: DIR/run there
#   --architecture=90  the GPU's compute capability without the point; else that of this machine's GPU, for a pack 90
#   --text=FILE        what the reference run learns: TinyStories, if the log is to be met; else the embedded corpus
#   --build=DIR        where programs are built (build/gpu)
# Other options (--budget=SECONDS, --dry-run) are those of DIR/run. It needs a CUDA toolkit, 12 or later.
set -euo pipefail
fail() {
  echo "error: $*" >&2
  exit 1
}
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/gpu
pack='' architecture='' text=''
run_options=()
for option in "$@"; do
  case $option in
    --pack=?*) pack=${option#*=} ;;
    --architecture=?*) architecture=${option#*=} ;;
    --text=?*) text=${option#*=} ;;
    --build=?*) build=$(realpath -m "${option#*=}") ;;
    --budget=?* | --dry-run) run_options+=("$option") ;;
    *) fail "unknown option $option; there are --pack=DIR, --architecture=NUMBER, --text=FILE, --build=DIR," \
            "--budget=SECONDS and --dry-run" ;;
  esac
done
[ -z "$text" ] || [ -f "$text" ] || fail "--text is $text; it must be a file"
if [ -n "$pack" ] && [ ${#run_options[@]} -gt 0 ]; then
  fail "${run_options[0]} is for $pack/run; --pack only makes the pack"
fi
if [ -n "$pack" ] && [ -e "$pack" ] && [ ! -f "$pack/pack.json" ] && [ -n "$(ls -A "$pack")" ]; then
  fail "--pack is $pack, which is no pack; it must be a new folder, an empty one, or a pack"
fi
if [ -z "$architecture" ]; then
  if capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0 2>/dev/null); then
    architecture=${capability/./}
  elif [ -n "$pack" ] || [[ " ${run_options[*]} " == *" --dry-run "* ]]; then
    architecture=90
  else
    fail "nvidia-smi finds no GPU; --pack makes a pack for another machine, --dry-run does what can be done without one"
  fi
fi
[[ $architecture =~ ^[0-9]+$ ]] || fail "--architecture is $architecture; it must be a number such as 90"
nvcc=$(PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin command -v nvcc) ||
  fail "there is no nvcc; CUDA_HOME must name a CUDA toolkit"

# ---- programs: of any recent x86-64 machine, and without oneDNN, which would be carried too ---------------------------
"$root/.ci/install_packages.sh" python3
programs=(tests/cria_cuda_tests tests/pretrain_llama_cuda_test examples/pretrain_llama/pretrain_llama
  benchmarks/ops_bench_cuda benchmarks/train_step_bench_cuda benchmarks/cria_llama_cuda)
# An RPATH of the old kind, which the libraries beside the programs find each other by, too.
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCRIA_CUDA=ON -DCMAKE_CUDA_COMPILER="$nvcc" \
  -DCMAKE_CUDA_ARCHITECTURES="$architecture-real" -DCRIA_ONEDNN=OFF -DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON -DCRIA_NATIVE=OFF \
  -DCMAKE_CXX_FLAGS=-march=x86-64-v3 -DCMAKE_CUDA_FLAGS=-Xcompiler=-march=x86-64-v3 \
  -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON -DCMAKE_INSTALL_RPATH='$ORIGIN/../lib' \
  -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags >/dev/null
cmake --build "$build" --target "${programs[@]##*/}"
toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
export LD_LIBRARY_PATH=$toolkit/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# ---- data, and what the CPU's losses on it are ------------------------------------------------------------------------
pretrain=$build/examples/pretrain_llama/pretrain_llama
if [ -n "$text" ]; then
  corpus=(--input="$text" --vocab_size=4096)
  work=$build/text-$(cksum <"$text" | tr ' ' -)
else
  corpus=(--stories=20000 --vocab_size=3072)  # the grammar has not words for more pieces
  work=$build/embedded
fi
[ -f "$work/data/corpus.json" ] || "$pretrain" prepare "${corpus[@]}" --data_dir="$work/data"
metrics=$work/reference_cpu.jsonl
if [ ! "$metrics" -nt "$pretrain" ]; then
  "$pretrain" train --config="$root/examples/pretrain_llama/configs/reference.toml" "${corpus[1]}" --device=cpu \
    --data_dir="$work/data" --out_dir="$work/reference_cpu" --overwrite=true --max_iters=9 --lr_decay_iters=100000 \
    --eval_iters=1
  cp "$work/reference_cpu/metrics.jsonl" "$metrics"
fi

# ---- the pack: the tree's own layout, so that scripts find each other -------------------------------------------------
only_pack=$pack
pack=$(realpath -m "${pack:-$build/pack}")
mkdir -p "$pack"
find "$pack" -mindepth 1 -maxdepth 1 ! -name report -exec rm -rf {} +  # what it has found so far stays
cd "$root"
cp --parents -t "$pack" benchmarks/gpu/*.py benchmarks/compare/{compare,torch_llama}.py benchmarks/loss_curves.py \
  benchmarks/reference_run/{report.py,train_log.txt} examples/pretrain_llama/configs/reference.toml \
  tests/golden/*.{json,safetensors}
cp -t "$pack" "$metrics"

carried=$work/programs
rm -rf "$carried"
mkdir -p "$carried"/{bin,lib}
cp -r "$work/data" "$carried/data"
cp "${programs[@]/#/$build/}" "$carried/bin"
strip "$carried"/bin/*
libraries=$(ldd "$carried"/bin/*)
# glibc is the machine's own, and cuBLAS, half a gigabyte, is where PyTorch or a toolkit is.
awk '$2 == "=>" { print $3 }' <<<"$libraries" | sort -u |
  grep -vE '/(libc|libm|libdl|librt|libpthread|libcublas|libcublasLt)\.so' | xargs cp -L -t "$carried/lib"
tar -C "$carried" -cf - bin lib data | xz --lzma2=preset=9,dict=256MiB >"$pack/programs.tar.xz"

compiler="$("$nvcc" --version | sed -n 's/.*release \(.*\), .*/nvcc \1/p'), $("${CXX:-g++}" --version | head -n 1)"
needed=$(grep -oE 'libcublas(Lt)?\.so\.[0-9]+ ' <<<"$libraries" | sort -u | sed 's/\(.*\) /"\1"/' | paste -sd,)
cat >"$pack/pack.json" <<JSON
{
  "commit": "$(git describe --always --dirty)",
  "compiler": "$compiler",
  "architecture": "$architecture",
  "libraries": [$needed],
  "text": "$([ -n "$text" ] && basename "$text" || echo the embedded corpus)",
  "vocabulary": ${corpus[1]#*=}
}
JSON
cat >"$pack/run" <<'RUN'
#!/usr/bin/env bash
# Runs this pack: [--budget=SECONDS] [--dry-run]. What it finds goes to the folder OUT, or to report/ beside this file.
folder=${0%/*}
[ "$folder" != "$0" ] || folder=.
exec python3 "$folder/benchmarks/gpu/run.py" "$@"
RUN
chmod +x "$pack/run"
bytes=$(du -sb --exclude=report "$pack" | cut -f 1)
[ "$bytes" -le $((55 << 20)) ] || fail "the pack, $pack, has $((bytes >> 20)) MiB; at most 55 can be carried"

if [ -n "$only_pack" ]; then
  echo "the pack is $pack, $((bytes >> 20)) MiB, for sm_$architecture; its run is for the machine that has the GPU"
else
  exec "$pack/run" "${run_options[@]}"
fi
