#!/usr/bin/env bash
# Clang compiles the examples, which the code blocks of README.md and docs/ are cut out of. It is stricter than GCC: up
# to version 15, for one, a lambda captures no structured binding (write [ctx = ctx]).
set -euo pipefail

: "${WEFT_SOURCE_DIR:?is set by ctest to the checkout}"

if ! command -v clang++ >/dev/null; then
  echo "clang++ is not installed; cmake/install-deps.sh test installs it"
  exit 77
fi

cd "$WEFT_SOURCE_DIR"
flags=(-std=c++20 -fsyntax-only -Wall -Wextra -Wshadow -Wthread-safety -Werror)
for module in runtime net http app; do flags+=("-I$module/include"); done
printf '%s\0' examples/*.cc examples/patterns/*.cc | xargs -0 -n 1 -P "$(nproc)" clang++ "${flags[@]}"
