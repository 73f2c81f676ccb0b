#!/usr/bin/env bash
# What a user pays for weft's headers: <weft/http/server.h> has at most 60,000 preprocessed lines. For the record the
# test also prints the CPU time of compiling a small service.
set -euo pipefail

: "${WEFT_SOURCE_DIR:?is set by ctest to the checkout}"

readonly limit=60000
flags=(-std=c++20 -DASIO_STANDALONE -DASIO_NO_DEPRECATED)
for module in runtime net http app; do flags+=(-I"$WEFT_SOURCE_DIR/$module/include"); done

# lines HEADER: prints how many lines the header has when it is preprocessed.
lines() { g++ "${flags[@]}" -E -P -x c++ - <<<"#include <$1>" | wc -l; }

TIMEFORMAT='%U + %S'
seconds=$({ time g++ "${flags[@]}" -O0 -c -o /dev/null "$WEFT_SOURCE_DIR/examples/hello_service.cc"; } 2>&1)
printf 'examples/hello_service.cc: %s s of CPU, user + system\n' "$seconds"
for header in weft/go.h weft/net/conn.h weft/app/app.h; do
  printf '<%s>: %s lines\n' "$header" "$(lines "$header")"
done

count=$(lines weft/http/server.h)
printf '<weft/http/server.h>: %s lines\n' "$count"
((count <= limit)) || {
  printf '<weft/http/server.h> has %s preprocessed lines; at most %s are allowed\n' "$count" "$limit" >&2
  exit 1
}
