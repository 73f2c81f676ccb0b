#!/usr/bin/env bash
# Installs what weft needs from the distribution's packages. When nothing is missing it touches nothing.
set -euo pipefail

readonly me="install-deps"

usage() {
  cat <<'TEXT'
usage: cmake/install-deps.sh [--quiet] [--list] [GROUP...]

Installs the packages of each GROUP that are not installed yet (Debian, Ubuntu and their relatives, by apt-get).

groups:
  build   compiler, build tools and libraries (the default)
  test    what the test suite runs: curl, wrk, Python, gdb, Clang, a cross compiler and an emulator
  bench   load tests and benchmarks: wrk, Go, Python
  check   formatter and linter
  clang   the newest Clang that the libraries must compile with
  fuzz    Clang with libFuzzer and the sanitizers
  all     all of them

options:
  --quiet  say nothing when nothing is missing
  --list   print the packages of the groups and stop
  --help   print this text
TEXT
}

fail() {
  printf '%s: %s\n' "$me" "$*" >&2
  exit 1
}

group_packages() {
  case $1 in
    build)
      echo g++ cmake ninja-build pkg-config
      echo liburing-dev libdw-dev libasio-dev libexpected-dev libcli11-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
      echo libgtest-dev libgoogle-perftools-dev
      ;;
    test)
      echo clang curl gdb lld python3 wrk
      # An aarch64 machine runs the aarch64 tests without an emulator.
      [[ $(uname -m) == aarch64 ]] || echo g++-aarch64-linux-gnu qemu-user
      ;;
    bench) echo wrk golang-go python3 ;;
    check) echo clang-format clang-tidy python3 ;;
    clang) echo clang-19 ;;
    fuzz) echo clang libclang-rt-dev ;;
    all)
      local group
      for group in build test bench check clang fuzz; do group_packages "$group"; done
      ;;
    *)
      printf '%s: there is no group "%s"\n' "$me" "$1" >&2
      usage >&2
      exit 2
      ;;
  esac
}

# Prints those of its arguments that are not installed.
missing_packages() {
  local installed package
  # dpkg-query fails when it doesn't know one of the packages, and prints the others all the same.
  installed=" $({ dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
    sed -n 's/^installed //p' | tr '\n' ' ')"
  for package in "$@"; do
    [[ $installed == *" $package "* ]] || printf '%s\n' "$package"
  done
}

# Runs a command. Unless stdout is a terminal, the command's output is shown only when it fails.
run_logged() {
  if [[ -t 1 ]]; then
    "$@"
  else
    "$@" >"$log" 2>&1 || {
      tail -n 20 "$log" >&2
      return 1
    }
  fi
}

quiet=no list=no groups=()
for argument in "$@"; do
  case $argument in
    -h | --help)
      usage
      exit 0
      ;;
    --quiet) quiet=yes ;;
    --list) list=yes ;;
    -*)
      printf '%s: there is no option "%s"\n' "$me" "$argument" >&2
      usage >&2
      exit 2
      ;;
    *) groups+=("$argument") ;;
  esac
done
((${#groups[@]})) || groups=(build)

wanted=()
for group in "${groups[@]}"; do
  words=$(group_packages "$group") || exit
  for package in $words; do
    [[ " ${wanted[*]-} " == *" $package "* ]] || wanted+=("$package")
  done
done

if [[ $list == yes ]]; then
  printf '%s\n' "${wanted[@]}"
  exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  # shellcheck source=/dev/null
  name=$(. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-${ID:-}}") || name=
  fail "there is no apt-get on ${name:-this system}; install by its own means what these Debian packages hold" \
    "(then run ./dev with WEFT_SKIP_DEPS=1): ${wanted[*]}"
fi

mapfile -t missing < <(missing_packages "${wanted[@]}")
if ((${#missing[@]} == 0)); then
  [[ $quiet == yes ]] || printf '%s: nothing to do, all packages of "%s" are installed\n' "$me" "${groups[*]}"
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    fail "packages are missing and neither root nor sudo is at hand; as root, run: apt-get install ${missing[*]}"
  as_root=(sudo)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)

printf '%s: updating the package lists\n' "$me"
run_logged "${apt[@]}" update </dev/null ||
  printf '%s: apt-get update failed; going on with the lists that are there\n' "$me" >&2
printf '%s: installing %s (can take minutes)\n' "$me" "${missing[*]}"
run_logged "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null ||
  fail "apt-get could not install ${missing[*]} (its output is above);" \
    "check the network and the apt sources, then run this again"
printf '%s: done\n' "$me"
