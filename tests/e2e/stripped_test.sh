#!/usr/bin/env bash
# A program without debug information still names the functions of its crash. A program without symbols still tells
# where they are.
set -euo pipefail

: "${WEFT_BUILD_DIR:?is set by ctest to the build directory}"

if ! command -v strip >/dev/null; then
  echo "skipped: strip is not installed; cmake/install-deps.sh build installs it"
  exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
case=ExceptionThatLeavesAGoroutine

# Runs the case of the test program. The case prints the child's report when the report is not what it expects.
report() {
  "$1" --gtest_filter="CrashDeathTest.${case}*" 2>&1 || true
}

strip --strip-debug -o "$dir/names" "$WEFT_BUILD_DIR/bin/crash_test"
output=$(report "$dir/names")
grep -q '\[  PASSED  \] 1 test' <<<"$output" || {
  printf 'without debug information the throwing function is not named:\n%s\n' "$output" >&2
  exit 1
}

strip --strip-all -o "$dir/bare" "$WEFT_BUILD_DIR/bin/crash_test"
output=$(report "$dir/bare")
grep -q "/bare@0x" <<<"$output" || {
  printf 'without symbols the report does not tell the addresses within the program:\n%s\n' "$output" >&2
  exit 1
}
