# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# stress-ng's stressors of memory, with verification.
packages='stress-ng'
processes='stress-ng'

work() {
  local seconds=10s
  [[ -z $quick ]] || seconds=2s
  for stressor in malloc bigheap vm mmap; do
    if stress-ng --"$stressor" 2 --verify -t $seconds --vm-bytes 128M --temp-path . >log 2>&1; then
      echo "$stressor passed"
    else
      tail -n 20 log >&2
      echo "$stressor failed"
    fi
  done
  rm log
}
