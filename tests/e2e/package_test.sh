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

# expect PROGRAM LINE: runs the program, whose last line must be this one and whose exit status must be 0.
expect() {
  local output
  output=$("$1")
  [[ ${output##*$'\n'} == "$2" ]] || {
    printf '%s printed "%s"; its last line must be "%s"\n' "$1" "$output" "$2" >&2
    exit 1
  }
}

# consume COMPILER FLAGS: builds and runs the consumers.
consume() {
  local compiler=$1 flags=$2 build=$dir/$1
  cmake -S "$WEFT_SOURCE_DIR/tests/e2e/consumer" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$dir/prefix" -DCMAKE_CXX_FLAGS="$flags"
  cmake --build "$build"
  # The installed headers are the ones used.
  if grep -q -F -- "$WEFT_SOURCE_DIR/runtime" "$build/build.ninja"; then
    echo "the consumer refers to the source tree; it must use $dir/prefix alone" >&2
    exit 1
  fi
  expect "$build/runtime_consumer" "sum 55, primitives 6"
  expect "$build/app_consumer" "stopped with 0"
}

sanitizer=$(sed -n 's/^WEFT_SANITIZE:[^=]*=//p' "$WEFT_BUILD_DIR/CMakeCache.txt")
case $sanitizer in
  "") flags="" ;;
  address) flags="-fsanitize=address,undefined" ;;
  *) flags="-fsanitize=$sanitizer" ;;
esac

# A sanitized library needs a program with the same sanitizer, of the same compiler.
consume g++ "$flags"
if [[ -n $sanitizer ]]; then
  echo "clang++: left out: a sanitized library needs the sanitizer of its own compiler"
elif ! command -v clang++ >/dev/null; then
  echo "clang++: left out: it is not installed; cmake/install-deps.sh test installs it"
else
  consume clang++ ""
fi
