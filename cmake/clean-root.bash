# Clean Debian 12 roots for the scripts that prove an installation from nothing; sourced, not run.
#
# All of it happens in mount and process namespaces of its own. When the script ends, however it ends, every mount is
# gone and every process that it started is ended; then the directory is removed. Needs root, debootstrap and unshare.

readonly debian_suite=bookworm

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# enter_namespaces "$@": runs the script again, with the same arguments, inside namespaces of its own. There it returns
# at once, with $work naming an empty directory.
enter_namespaces() {
  if [[ -n ${WEFT_CLEAN_ROOT_WORK:-} ]]; then
    work=$WEFT_CLEAN_ROOT_WORK
    unset WEFT_CLEAN_ROOT_WORK
    mount -t proc proc /proc
    return
  fi
  ((EUID == 0)) || fail "needs root, to make and enter a root directory"
  local tool
  for tool in debootstrap unshare nsenter ip chroot tar; do
    command -v "$tool" >/dev/null ||
      fail "needs $tool; install it (Debian: apt-get install debootstrap util-linux iproute2)"
  done
  local directory status=0
  directory=$(mktemp -d "${TMPDIR:-/var/tmp}/weft-root.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf --one-file-system '$directory'" EXIT
  WEFT_CLEAN_ROOT_WORK=$directory unshare --mount --propagation private --pid --fork --kill-child \
    bash "$0" "$@" </dev/null || status=$?
  exit "$status"
}

# Words that come before every command that in_root runs, and what its environment has beyond the least.
in_root_prefix=() root_environment=()

# Prints "URI SUITE COMPONENT" for each of this machine's apt sources that has the suite.
apt_sources() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$debian_suite" 'index($2, suite) == 1 && $3 == "main"' | sort -u
}

# make_base DIRECTORY: makes the smallest Debian 12, with this machine's apt sources and way to the network.
make_base() {
  local base=$1 mirror proxy
  mirror=$(apt_sources | awk -v suite="$debian_suite" '$2 == suite { print $1; exit }')
  [[ -n $mirror ]] ||
    fail "this machine's apt sources name no mirror of Debian $debian_suite; add one and run apt-get update"
  proxy=$(apt-config shell proxy Acquire::http::Proxy)
  if [[ -n $proxy ]]; then
    eval "$proxy"
    export http_proxy=$proxy
  fi
  debootstrap --variant=minbase "$debian_suite" "$base" "$mirror" >"$work/debootstrap.log" 2>&1 || {
    tail -n 20 "$work/debootstrap.log" >&2
    fail "debootstrap failed (above)"
  }
  apt_sources | sed 's/^/deb /' >"$base/etc/apt/sources.list"
  apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-Valid-Until|Check-Date)\b' \
    >"$base/etc/apt/apt.conf.d/99host" || true
  rm -f "$base"/var/cache/apt/archives/*.deb
  cp -L /etc/resolv.conf /etc/hosts "$base/etc/"
}

# copy_tree SOURCE DESTINATION: copies the checkout without what .dockerignore names.
copy_tree() {
  mkdir -p "$2"
  tar -C "$1" --anchored --exclude-from=<(sed 's,^,./,' "$1/.dockerignore") -cf - . | tar -C "$2" -xf -
}

# mount_root ROOT: gives a root /proc, /sys and a /dev with the few devices that programs expect.
mount_root() {
  local root=$1 device
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  ln -s /proc/self/fd "$root/dev/fd"
  mkdir "$root/dev/shm"
  mount -t tmpfs tmpfs "$root/dev/shm"
}

# in_root ROOT USER DIRECTORY COMMAND...: becomes the command, so call it in a subshell.
in_root() {
  local root=$1 user=$2 directory=$3
  shift 3
  # shellcheck disable=SC2016
  exec "${in_root_prefix[@]}" \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C.UTF-8 \
    "${root_environment[@]}" \
    chroot --userspec="$user" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$directory" "$@"
}

# leave_network: what in_root runs from now on sees only a loopback interface of its own.
leave_network() {
  local holder
  unshare --net sleep infinity &
  holder=$!
  wait_for 10 eval "[[ \$(readlink /proc/$holder/ns/net) != \$(readlink /proc/self/ns/net) ]]" ||
    fail "the kernel gave no network namespace"
  in_root_prefix=(nsenter --target "$holder" --net)
  "${in_root_prefix[@]}" ip link set lo up
}

# wait_for SECONDS COMMAND...: waits until the command succeeds; fails when it doesn't in time.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}

# stop PID: sends SIGTERM, waits up to 60 s for the process to end, and returns its exit status.
stop() {
  local status=0
  kill -TERM "$1"
  wait_for 60 eval "! kill -0 $1" || fail "process $1 still runs 60 s after SIGTERM"
  wait "$1" || status=$?
  return "$status"
}
