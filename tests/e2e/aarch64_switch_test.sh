#!/usr/bin/env bash
# Cross-compiles the aarch64 context switch and runs it under emulation (on an aarch64 machine, natively).
set -euo pipefail

: "${WEFT_SOURCE_DIR:?is set by ctest to the checkout}"

compiler=aarch64-linux-gnu-g++
runner=(qemu-aarch64)
if [[ $(uname -m) == aarch64 ]]; then
  compiler=g++
  runner=()
fi
for tool in "$compiler" "${runner[@]}"; do
  if ! command -v "$tool" >/dev/null; then
    echo "skipped: $tool is not installed; cmake/install-deps.sh test installs it"
    exit 77
  fi
done

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for optimisation in -O0 -O2; do
  "$compiler" -std=c++20 -Wall -Wextra "$optimisation" -fno-omit-frame-pointer -static \
    -I "$WEFT_SOURCE_DIR" -I "$WEFT_SOURCE_DIR/runtime/include" \
    "$WEFT_SOURCE_DIR"/runtime/src/arch/*.S "$WEFT_SOURCE_DIR"/runtime/src/arch/*.cc \
    "$WEFT_SOURCE_DIR/tests/runtime/arch/switch_main.cc" -o "$dir/switch$optimisation" -pthread
  "${runner[@]}" "$dir/switch$optimisation"
done
