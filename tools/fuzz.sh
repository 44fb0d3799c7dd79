#!/usr/bin/env bash
# `make fuzz`: builds fuzz/ and runs each kind of input for MINUTES (default 10), one after the other, at low priority.
# What was found interesting is kept under .build/fuzz-corpus; a finding is printed, and its input kept beside it.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${MINUTES:-10}
corpus=.build/fuzz-corpus
nice -n 19 swift build -c release --package-path fuzz --scratch-path .build/fuzz
python3 fuzz/seeds.py "$corpus"
for kind in ${KINDS:-gguf template text}; do
  printf '=== %s for %s minutes\n' "$kind" "$minutes"
  PARLEY_FUZZ=$kind nice -n 19 .build/fuzz/release/Fuzz -max_total_time=$((minutes * 60)) -timeout=20 \
    -rss_limit_mb=4096 -malloc_limit_mb=512 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$corpus/finding-$kind-" "$corpus/$kind" $(ls -d "fuzz/found/$kind" 2>/dev/null)
done
