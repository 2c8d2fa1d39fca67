#!/bin/bash
# Two hosts, as network namespaces that a pair of virtual Ethernet devices joins, train together; their link is made
# slow, then it is cut. hosts.sh PROGRAM FOLDER. mpirun is set up by script.cmake.
set -u
program=$1 folder=$2
names="cria1 cria2"

if [ "$(id -u)" != 0 ] || ! command -v ip tc unshare >/dev/null; then
  echo "skipped: hosts as network namespaces need root, ip, tc and unshare"
  exit 0
fi
for name in $names; do
  if ! ip netns add $name; then
    echo "skipped: this machine has no network namespaces"
    exit 0
  fi
done
end() {
  for name in $names; do
    ip netns pids $name | xargs -r kill -KILL
    ip netns del $name
    rm -r /etc/netns/$name
  done
  rmdir --ignore-fail-on-non-empty /etc/netns
}
trap end EXIT
trap 'exit 1' INT TERM

rm -rf "$folder"
mkdir -p "$folder"
cd "$folder" || exit 1
fail() {
  echo "$1" >&2
  cat output errors >&2
  exit 1
}

ip -n cria1 link add link0 type veth peer name link0 netns cria2
for i in 1 2; do
  mkdir -p /etc/netns/cria$i  # from which `ip netns exec` takes /etc/hosts
  printf '127.0.0.1 localhost\n10.77.0.1 cria1\n10.77.0.2 cria2\n' >/etc/netns/cria$i/hosts
  ip -n cria$i link set lo up
  ip -n cria$i addr add 10.77.0.$i/24 dev link0
  ip -n cria$i link set link0 up
done
cat >agent <<'E2'
#!/bin/bash
# In the place of ssh: agent HOST COMMAND...
host=$1
shift
exec ip netns exec "$host" unshare --uts sh -c "hostname $host; $*"
E2
chmod +x agent
export OMPI_MCA_plm=rsh OMPI_MCA_plm_rsh_agent="$folder/agent" OMPI_MCA_btl=self,tcp
on_first() { ./agent cria1 exec "$@"; }

options="--vocab_size=320 --max_seq_len=16 --dim=16 --n_layers=1 --n_heads=2 --n_group=1 --batch_size=256 --threads=1
  --eval_interval=20 --eval_iters=2 --always_save_checkpoint=true --peak_flops=1e12 --lr_decay_iters=4 --data_dir=data"
"$program" prepare --vocab_size=320 --stories=300 --max_seq_len=16 --data_dir=data >output 2>errors || fail "prepare"
"$program" train $options --max_iters=60 --out_dir=alone >output 2>errors || fail "train alone"
launch="$program launch -n 2 --hosts=cria1,cria2"
same_as_alone() { cmp "$1"/ckpt/model.safetensors alone/ckpt/model.safetensors || fail "$1 has other weights than one process"; }

# Over a link of 20 Mbit/s the weights are the same.
tc -n cria1 qdisc add dev link0 root tbf rate 20mbit burst 32kb latency 50ms || fail "the link cannot be slowed"
on_first $launch -- train $options --max_iters=60 --out_dir=slow >output 2>errors || fail "two hosts"
tc -n cria1 qdisc del dev link0 root
grep -q '2 processes of 1 threads' output || fail "two hosts do not train together"
same_as_alone slow

# With the link cut, the first host goes on alone.
on_first $launch -- train $options --max_iters=200 --timeout=2 --out_dir=cut >output 2>errors &
run=$!
for _ in $(seq 600); do
  grep -q '"iter":22,' cut/metrics.jsonl 2>/dev/null && break
  sleep 0.05
done
ip -n cria1 link set link0 down
SECONDS=0
wait $run || fail "launch does not go on without a host"
grep -Eq '^process 1 of 2 on host cria1: mpi: all have waited for process 2 of 2 on host cria2 for 2 s.*starting 1 processes on 1 of 2 hosts again' \
  errors || fail "launch does not say that a host is gone"
ip netns pids cria2 | xargs -r ps -o comm= -p | grep -q pretrain_llama && fail "the host that was cut off goes on"
"$program" train $options --max_iters=200 --out_dir=alone --overwrite=true >output 2>errors || fail "train alone"
same_as_alone cut
echo "two hosts train together, and one goes on alone"
