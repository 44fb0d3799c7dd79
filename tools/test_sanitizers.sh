#!/usr/bin/env bash
# The program of `make test-neon`, for this processor and under the address and undefined-behaviour sanitizers: every
# operation of every kernel table this machine can run, against scalar.
set -euo pipefail
cd "$(dirname "$0")/.."

build=.build/sanitizers
mkdir -p "$build"
"${CC:-clang}" -g -O1 -std=c17 -Wall -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
  -ITests/NeonTests -ISources/CKernels/include \
  Sources/CKernels/*.c Sources/CKernels/*/*.c Tests/NeonTests/*.c -lm -o "$build/kernels"
"$build/kernels"
