# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2016,SC2164
#
# git: a large history cloned, collected, checked; the log and the tree must be the same.
packages='git'
processes='git'

prepare() {
  local folder i
  git init -q "$shared/origin"
  cd "$shared/origin"
  git config user.name shim && git config user.email shim@example.org
  export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
  for folder in linux c++ x86_64-linux-gnu; do
    cp -rL "/usr/include/$folder" . && git add -A && git commit -qm "$folder"
  done
  for ((i = 0; i < 100; ++i)); do
    find linux -name '*.h' | sort | sed -n "$((i + 1))~100p" | xargs sed -i "1i // change $i"
    git commit -qam "change $i"
  done
}

work() {
  git clone -q --no-local "$shared/origin" clone
  cd clone
  git config pack.threads 2
  git gc -q
  git fsck --full --strict 2>&1
  git log --stat --format='%H %s' | sha256sum
  git diff HEAD~50 | sha256sum
  git blame linux/fs.h | sha256sum
  git ls-tree -r HEAD | sha256sum
  cd .. && rm -rf clone
}
