#!/usr/bin/env bash
# Proves `./dev serve` on a machine that has nothing: in a clean Debian 12 root it installs its packages, builds, and
# answers curl. Needs root and takes minutes; it is not part of the test suite.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=cmake/clean-root.bash
. "$source_dir/cmake/clean-root.bash"

if (($# > 0)); then
  echo "usage: tests/clean-root.sh" >&2
  exit 2
fi
command -v curl >/dev/null || fail "needs curl; install it (Debian: apt-get install curl)"
enter_namespaces "$@"

port=18080
while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

say "making a clean Debian root"
make_base "$work/root"
copy_tree "$source_dir" "$work/root/src"
mount_root "$work/root"

say "running ./dev serve in it"
start=$SECONDS
# Starts it from a directory that is not the checkout.
(in_root "$work/root" root /tmp /src/dev serve --address "127.0.0.1:$port") >"$work/serve.log" 2>&1 &
serve=$!
answers() {
  # When it has ended early, there is no need to wait for the rest of the time.
  kill -0 "$serve" || fail "./dev serve ended"
  curl -fsS --max-time 5 "http://127.0.0.1:$port/healthz"
}
wait_for 1800 answers || {
  cat "$work/serve.log" >&2
  fail "no answer from 127.0.0.1:$port after $((SECONDS - start)) s (the output of ./dev serve is above)"
}
say "answered after $((SECONDS - start)) s"
status=0
stop "$serve" || status=$?
cat "$work/serve.log"
((status == 0)) || fail "the server ended with status $status at SIGTERM"

start=$SECONDS
(in_root "$work/root" root /tmp /src/dev serve --address "127.0.0.1:$port" --poller epoll) >"$work/serve.log" 2>&1 &
serve=$!
wait_for 60 answers || {
  cat "$work/serve.log" >&2
  fail "the second start, with --poller epoll, did not answer within 60 s (its output is above)"
}
say "the second start, with --poller epoll, answered after $((SECONDS - start)) s"
stop "$serve" || fail "the second server ended with status $? at SIGTERM"
say "proven: ./dev serve installs, builds and serves on a clean Debian 12"
