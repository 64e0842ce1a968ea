# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# sort, in threads and in pieces.
packages='coreutils'
processes='sort'

work() {
  seq "$([[ -n $quick ]] && echo 300000 || echo 3000000)" | awk '{print ($1 * 2654435761) % 4294967296, $1}' >lines
  sort --parallel=4 -S 64M lines | sha256sum
  sort -k2,2nr --parallel=2 -S 8M lines | sha256sum
  rm lines
}
