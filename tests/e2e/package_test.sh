#!/usr/bin/env bash
# The installed package serves a project that knows nothing of this tree.
set -euo pipefail

: "${WEFT_SOURCE_DIR:?is set by ctest to the checkout}"
: "${WEFT_BUILD_DIR:?is set by ctest to the build directory}"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# A sanitized library needs a program with the same sanitizer.
sanitizer=$(sed -n 's/^WEFT_SANITIZE:[^=]*=//p' "$WEFT_BUILD_DIR/CMakeCache.txt")
case $sanitizer in
  "") flags="" ;;
  address) flags="-fsanitize=address,undefined" ;;
  *) flags="-fsanitize=$sanitizer" ;;
esac

cmake --install "$WEFT_BUILD_DIR" --prefix "$dir/prefix" >"$dir/install.log" || {
  cat "$dir/install.log"
  exit 1
}
cmake -S "$WEFT_SOURCE_DIR/tests/e2e/consumer" -B "$dir/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$dir/prefix" -DCMAKE_CXX_FLAGS="$flags"
cmake --build "$dir/build"

# The consumer must use the installed headers.
if grep -q -F -- "$WEFT_SOURCE_DIR/runtime" "$dir/build/build.ninja"; then
  echo "the consumer refers to the source tree; it must use $dir/prefix alone" >&2
  exit 1
fi

output=$("$dir/build/consumer")
[[ $output == "sum 55" ]] || {
  printf 'the consumer printed "%s" instead of "sum 55"\n' "$output" >&2
  exit 1
}
