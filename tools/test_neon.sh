#!/usr/bin/env bash
# Builds CKernels and Tests/NeonTests for aarch64 and runs them: every operation of the NEON table against scalar. On
# another processor, with Debian's cross compiler's libraries and QEMU; installs what is missing (apt, as root or with sudo).
set -euo pipefail
cd "$(dirname "$0")/.."

build=.build/neon
target=()
run=()
if [[ $(uname -m) != aarch64 && $(uname -m) != arm64 ]]; then
  if ! command -v qemu-aarch64 > /dev/null || [[ ! -d /usr/aarch64-linux-gnu/include ]]; then
    packages=(qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
    command -v apt-get > /dev/null || { echo "test-neon: missing: ${packages[*]} (Debian's names)." >&2; exit 1; }
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    echo "test-neon: installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
  fi
  target=(--target=aarch64-linux-gnu -static)
  run=(qemu-aarch64)
fi

mkdir -p "$build"
"${CC:-clang}" "${target[@]}" -O2 -std=c17 -Wall -Werror -ISources/CKernels/include \
  Sources/CKernels/*.c Sources/CKernels/*/*.c Tests/NeonTests/*.c -lm -o "$build/kernels"
"${run[@]}" "$build/kernels" neon_dotprod
