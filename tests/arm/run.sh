#!/usr/bin/env bash
# Compiles products and training steps for 64-bit ARM (NEON) and for this machine, runs both, the first under qemu, and compares
# what they print: losses and gradient norms may differ by rounding. Takes about a minute, so the tests do not call it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/.ci/install_packages.sh" g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
options=(-std=c++20 -O2 -Wno-psabi -ffp-contract=fast -fno-math-errno -fno-trapping-math -I"$root/include")
aarch64-linux-gnu-g++ "${options[@]}" "$here/products_and_step.cpp" -o "$work/arm"
g++ "${options[@]}" -march=native "$here/products_and_step.cpp" -o "$work/native"
qemu-aarch64 -L /usr/aarch64-linux-gnu "$work/arm" >"$work/arm.txt"
"$work/native" >"$work/native.txt"
paste -d' ' "$work/arm.txt" "$work/native.txt" | awk '
  { bound = $1 == "float32" ? 1e-4 : 1e-1
    for (i = 3; i <= 4; ++i) {
      difference = $i > $(i + 4) ? $i - $(i + 4) : $(i + 4) - $i
      if (NF != 8 || difference > bound * $i) { print "ARM differs: " $0; failed = 1 }
    } }
  END { if (NR != 10) { print "ARM printed " NR " lines, not 10"; failed = 1 }
        if (!failed) print "ARM and this machine agree"
        exit failed }'
