#!/usr/bin/env bash
# Clang finds what is done without the lock that guards it: lock_annotations.cc compiles as it is, and with each of its
# mistakes it does not.
set -euo pipefail

: "${WEFT_SOURCE_DIR:?is set by ctest to the checkout}"

for compiler in clang++-19 clang++; do
  command -v "$compiler" >/dev/null && break
done
command -v "$compiler" >/dev/null || {
  echo "skipped: there is no clang; cmake/install-deps.sh clang installs it"
  exit 77
}

readonly source=$WEFT_SOURCE_DIR/tests/e2e/lock_annotations.cc
compile() {
  "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Wthread-safety -Werror -I"$WEFT_SOURCE_DIR/runtime/include" \
    "$@" "$source"
}

compile
mapfile -t mistakes < <(sed -n 's/^#if MISTAKE == \([0-9]*\) .*/\1/p' "$source")
((${#mistakes[@]} > 0)) || {
  echo "$source has no mistakes" >&2
  exit 1
}
for mistake in "${mistakes[@]}"; do
  if output=$(compile -DMISTAKE="$mistake" 2>&1); then
    echo "clang accepts mistake $mistake of $source" >&2
    exit 1
  fi
  # Nothing but the annotations rejects it.
  if [[ $(grep -c 'error:' <<<"$output") != 1 || $output != *-Wthread-safety* ]]; then
    printf 'clang rejects mistake %s for another reason:\n%s\n' "$mistake" "$output" >&2
    exit 1
  fi
done
echo "$compiler finds ${#mistakes[@]} of ${#mistakes[@]} mistakes"
