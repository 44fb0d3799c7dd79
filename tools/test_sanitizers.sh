#!/usr/bin/env bash
# The program of `make test-neon`, for this processor: every operation of every kernel table this machine can run, against
# scalar. Once under the address and undefined-behaviour sanitizers, once with three threads under the thread sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."

build=.build/sanitizers
mkdir -p "$build"

# run NAME FLAG…: builds with the flags and runs.
run() {
  local program=$build/$1
  "${CC:-clang}" -g -O1 -std=c17 -Wall -Werror -ISources/CKernels/include "${@:2}" \
    Sources/CKernels/*.c Sources/CKernels/*/*.c Tests/NeonTests/*.c -lm -o "$program"
  "$program"
}

# Swift's clang has a thread sanitizer that knows Dispatch, and so needs it.
dispatch=()
if [[ $(uname -s) == Linux ]]; then
  libraries=$(dirname "$(dirname "$(realpath "$(command -v swiftc)")")")/lib/swift/linux
  dispatch=(-L"$libraries" -Wl,-rpath,"$libraries" -Wl,--no-as-needed -ldispatch -lBlocksRuntime)
fi

run address -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN_OPTIONS=halt_on_error=1 run thread -fsanitize=thread -DTHREADS=3 -Wl,--wrap=k_parallel "${dispatch[@]}"
