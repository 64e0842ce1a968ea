# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash
#
# For scripts that are clients of the HTTP example over heddle::net; sourced. `start SUBJECT` serves $folder/www at $url;
# it ends with the script, however that ends, and in order by `finish`. `port` is there for those who need no URL.
folder=$(mktemp -d)
server=
cleanup() {
  [[ -z $server ]] || kill -9 "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
mkdir "$folder/www"

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}
expect() {  # expect WANTED FOUND WHAT
  [[ $1 == "$2" ]] || fail "$3: '$2' instead of '$1'"
}

start() {  # start SUBJECT
  mkfifo "$folder/stdin" "$folder/stdout"
  "$1" "$folder/www" <"$folder/stdin" >"$folder/stdout" &
  server=$!
  exec 8>"$folder/stdin" 9<"$folder/stdout"
  read -r -t 120 port <&9 || fail 'the server did not tell its port'
  # shellcheck disable=SC2034  # for those who source this
  url=http://127.0.0.1:$port
}

stop() {  # it finishes what is under way
  exec 8>&-
}

finish() {
  stop
  wait "$server" || fail "the server ended with status $?"
  server=
}
