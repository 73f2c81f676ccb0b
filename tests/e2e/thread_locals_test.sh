#!/usr/bin/env bash
# The accessors of thread-locals are right after every park, also when each compiler compiles the whole runtime as one
# piece at -O3.
set -euo pipefail

: "${WEFT_SOURCE_DIR:?is set by ctest to the checkout}"
: "${WEFT_BUILD_DIR:?is set by ctest to the build directory}"

if grep -q '^WEFT_SANITIZE:[^=]*=.' "$WEFT_BUILD_DIR/CMakeCache.txt"; then
  echo "skipped: it builds the same program whatever the preset; the debug and release presets run it"
  exit 77
fi

# check COMPILER [TOOL...]: builds and runs the program with the compiler, which needs the tools.
check() {
  local compiler=$1 tool
  for tool in "$@"; do
    if ! command -v "$tool" >/dev/null; then
      echo "$compiler: skipped: $tool is not installed; cmake/install-deps.sh test installs it"
      return 0
    fi
  done
  local dir=$WEFT_BUILD_DIR/thread_locals/$compiler log
  log=$(mktemp)
  { cmake -S "$WEFT_SOURCE_DIR" -B "$dir" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Release &&
    cmake --build "$dir" --target thread_locals; } >"$log" 2>&1 || {
    cat "$log"
    rm -f "$log"
    return 1
  }
  rm -f "$log"
  printf '%s: ' "$compiler"
  "$dir/bin/thread_locals"
}

check g++
check clang++ ld.lld
