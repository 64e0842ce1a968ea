#!/bin/bash
# SPDX-License-Identifier: BSL-1.0
#
# SHA-256 of every regular file under some directories, by the tools that every machine has.
set -o pipefail
export LC_ALL=C
procs=1
if [ "${1:-}" = --procs ]; then
  procs=${2:?--procs needs a number}
  shift 2
fi
[ $# -gt 0 ] || set -- /usr/include /usr/lib

# The lines are to be sorted by the true path, so the escapes that sha256sum makes (backslash, newline, carriage return)
# are taken out before, while lines end in zero, and put back after. sha256sum --zero would spare that, but it writes
# whole buffers instead of whole lines, and those of two processes mix.
unescape='/^\\/{s/^\\//;s/\\\\/\x01/g;s/\\n/\n/g;s/\\r/\r/g;s/\x01/\\/g}'
escape='/[\\\n\r]/{s/\\/\\\\/g;s/\n/\\n/g;s/\r/\\r/g;s/^/\\/}'

find "$@" -type f -print0 |
  xargs -0 -r -P "$procs" -n 256 sha256sum |
  tr '\n' '\0' | sed -z "$unescape" | sort -z -t '\0' -k 1.67 | sed -z "$escape" | tr '\0' '\n' || exit 1
