#!/usr/bin/env bash
# The installed package serves projects that know nothing of this tree, with g++ and with clang.
set -euo pipefail

: "${WEFT_SOURCE_DIR:?is set by ctest to the checkout}"
: "${WEFT_BUILD_DIR:?is set by ctest to the build directory}"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cmake --install "$WEFT_BUILD_DIR" --prefix "$dir/prefix" >"$dir/install.log" || {
  cat "$dir/install.log"
  exit 1
}

# expect LINE PROGRAM [ARG...]: runs the program, whose last line must be this one and whose exit status must be 0.
expect() {
  local line=$1 output
  shift
  output=$("$@")
  [[ ${output##*$'\n'} == "$line" ]] || {
    printf '%s printed "%s"; its last line must be "%s"\n' "$*" "$output" "$line" >&2
    exit 1
  }
}

# What a shared object keeps in thread-local storage comes out of a reserve of some hundred bytes, because the variable
# that is read most often is in static storage (tls_model).
readonly most_thread_local_bytes=64

# consume COMPILER: builds and runs the consumers. The package brings every flag that they need.
consume() {
  local compiler=$1 build=$dir/$1
  cmake -S "$WEFT_SOURCE_DIR/tests/e2e/consumer" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$dir/prefix"
  cmake --build "$build"
  # The installed headers are the ones used.
  if grep -q -F -- "$WEFT_SOURCE_DIR/runtime" "$build/build.ninja"; then
    echo "the consumer refers to the source tree; it must use $dir/prefix alone" >&2
    exit 1
  fi
  expect "sum 55, primitives 6" "$build/runtime_consumer"
  expect "stopped with 0" "$build/app_consumer"
  expect "epoll 7, automatic 7" "$build/plugin_host" "$build/plugin.so"
  expect "a runtime beside a runtime: fine" "$build/plugin_runtime_host" "$build/plugin.so"

  local bytes
  bytes=$(readelf -lW "$build/plugin.so" | awk '$1 == "TLS" { print $6 }')
  ((bytes <= most_thread_local_bytes)) || {
    echo "plugin.so has $bytes bytes of thread-local storage; at most $most_thread_local_bytes are meant" >&2
    exit 1
  }
  if nm -D --defined-only "$build/plugin.so" | grep -q weft; then
    echo "plugin.so exports symbols of weft:" >&2
    nm -DC --defined-only "$build/plugin.so" | grep weft >&2
    exit 1
  fi
}

sanitizer=$(sed -n 's/^WEFT_SANITIZE:[^=]*=//p' "$WEFT_BUILD_DIR/CMakeCache.txt")
# A sanitized library needs a program with the same sanitizer, of the same compiler.
consume g++
if [[ -n $sanitizer ]]; then
  echo "clang++: left out: a sanitized library needs the sanitizer of its own compiler"
elif ! command -v clang++ >/dev/null; then
  echo "clang++: left out: it is not installed; cmake/install-deps.sh test installs it"
else
  consume clang++
fi
