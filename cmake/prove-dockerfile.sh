#!/usr/bin/env bash
# Proves the Dockerfile where there is no container engine: makes a clean Debian 12 root for each stage, carries out the
# stage's own instructions in it, runs the final program as the final user on a loopback interface of its own, and asks
# its health check. Root only.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cmake/clean-root.bash
. "$here/clean-root.bash"

if (($# > 0)); then
  echo "usage: cmake/prove-dockerfile.sh" >&2
  exit 2
fi
enter_namespaces "$@"
readonly source_dir=$here/..

# json_words TEXT: sets words to the strings of a JSON array without escapes, or to a shell command when it is none.
json_words() {
  local rest=$1
  words=()
  if [[ $rest != \[* ]]; then
    words=(/bin/sh -c "$rest")
    return
  fi
  while [[ $rest =~ \"([^\"]*)\" ]]; do
    words+=("${BASH_REMATCH[1]}")
    rest=${rest#*"${BASH_REMATCH[0]}"}
  done
}

absolute() { [[ $1 == /* ]] && printf '%s' "$1" || printf '%s' "${directory%/}/$1"; }

# copy FROM-ROOT SOURCE... DESTINATION: copies into the stage.
copy() {
  local from=$1 target source
  shift
  target=$root$(absolute "${!#}")
  mkdir -p "$(dirname "$target")"
  if [[ ${!#} == */ || ${!#} == . ]]; then mkdir -p "$target"; fi
  for source in "${@:1:$#-1}"; do
    if [[ -d $from/$source ]]; then cp -a "$from/$source/." "$target"; else cp -a "$from/$source" "$target"; fi
  done
}

declare -A stages=()
root="" user=root directory=/ health=() entrypoint=() signal=""

instruction() {
  local name=$1 rest=$2 from=$work/context arguments
  case $name in
    FROM)
      read -r -a arguments <<<"$rest"
      [[ ${arguments[0]} == debian:12 || ${arguments[0]} == debian:12-slim ]] ||
        fail "Dockerfile: FROM ${arguments[0]}: only debian:12 and debian:12-slim can be made here"
      root=$work/stage${#stages[@]} user=root directory=/ root_environment=()
      stages[${arguments[2]:-final}]=$root
      cp -a "$work/base" "$root"
      mount_root "$root"
      ;;
    RUN)
      (in_root "$root" "$user" "$directory" /bin/sh -c "$rest") >"$work/run.log" 2>&1 || {
        tail -n 40 "$work/run.log" >&2
        fail "Dockerfile: this failed (above): RUN $rest"
      }
      ;;
    COPY)
      read -r -a arguments <<<"$rest"
      if [[ ${arguments[0]} == --from=* ]]; then
        from=${stages[${arguments[0]#--from=}]}
        arguments=("${arguments[@]:1}")
      fi
      copy "$from" "${arguments[@]}"
      ;;
    WORKDIR)
      directory=$(absolute "$rest")
      mkdir -p "$root$directory"
      ;;
    ENV) root_environment+=("$rest") ;;
    USER) user=$rest ;;
    EXPOSE) ;;
    STOPSIGNAL) signal=$rest ;;
    HEALTHCHECK)
      json_words "${rest#*CMD }"
      health=("${words[@]}")
      ;;
    ENTRYPOINT)
      json_words "$rest"
      entrypoint=("${words[@]}")
      ;;
    *) fail "Dockerfile: this script doesn't know the instruction $name" ;;
  esac
}

say "making a clean Debian root"
make_base "$work/base"
copy_tree "$source_dir" "$work/context"

text=""
while IFS= read -r line || [[ -n $line ]]; do
  [[ -n $text || ! $line =~ ^[[:space:]]*(#.*)?$ ]] || continue
  text+=$line
  if [[ $text == *\\ ]]; then
    text=${text%\\}
    continue
  fi
  say "$text"
  instruction "${text%% *}" "${text#* }"
  text=""
done <"$source_dir/Dockerfile"

((${#entrypoint[@]} && ${#health[@]})) || fail "Dockerfile: it needs ENTRYPOINT and HEALTHCHECK"
[[ $signal == SIGTERM ]] || fail "Dockerfile: STOPSIGNAL is \"$signal\", not SIGTERM"

leave_network
say "starting as $user: ${entrypoint[*]}"
(in_root "$root" "$user" "$directory" "${entrypoint[@]}") >"$work/program.log" 2>&1 &
program=$!
healthy() { (in_root "$root" "$user" "$directory" "${health[@]}"); }
wait_for 30 healthy || {
  cat "$work/program.log" >&2
  fail "no healthy answer within 30 s (the program's output is above): ${health[*]}"
}
uid=$(awk '/^Uid:/ { print $3 }' "/proc/$program/status")
((uid != 0)) || fail "the program runs as root"
status=0
stop "$program" || status=$?
cat "$work/program.log"
((status == 0)) || fail "the program ended with status $status at SIGTERM"
say "proven: every stage builds, the program runs as uid $uid," \
  "answers its health check and ends with status 0 at SIGTERM"
