#!/bin/bash
# SPDX-License-Identifier: BSL-1.0
#
# git.sh REPOSITORY: packs it anew, with two threads, and prints the sum of its whole history.
set -euo pipefail
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git -C "$1" -c pack.threads=2 repack -a -d -F -q --window=10 --depth=50
git -C "$1" fsck --no-progress --strict
git -C "$1" log --patch --stat main | sha256sum
