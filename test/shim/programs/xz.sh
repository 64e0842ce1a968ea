# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# xz in threads: the same bytes, and back again.
packages='xz-utils'
processes='xz'

prepare() {
  local files
  mapfile -t files < <(find /usr/include -name '*.h*' -type f | sort)
  cat "${files[@]:0:$([[ -n $quick ]] && echo 300 || echo 4000)}" >"$shared/text"
}

work() {
  xz -T 4 --block-size=1MiB -6 -c "$shared/text" >text.xz
  xz -T 2 -dc text.xz | sha256sum
}
