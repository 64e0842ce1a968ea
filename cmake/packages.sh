# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash
#
# Packages by the names that systems have for them; sourced by test/run and perf/run. A need is written as the names that
# a package has had, such as libmimalloc3|libmimalloc2.0: the first one that apt knows is installed.

system_name() {  # what this system calls itself, such as Debian GNU/Linux 13 (trixie)
  (. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-${NAME:-}}" | grep .) || uname -sr
}

meaning() {  # meaning NEED: in words, for those whose system has other names
  case $1 in
    g++) echo "gcc 12 or newer with C++" ;;
    cmake) echo "CMake 3.25 or newer" ;;
    ninja-build) echo "Ninja 1.10 or newer" ;;
    clang) echo "clang 14 or newer" ;;
    libc6-dbg) echo "the debug symbols of the C library, for Valgrind" ;;
    libboost-context*) echo "Boost.Context 1.74 or newer with its headers" ;;
    libboost-test*) echo "Boost.Test 1.74 or newer with its headers" ;;
    libboost-fiber*) echo "Boost.Fiber 1.74 or newer with its headers" ;;
    libboost*) echo "Boost's headers, 1.74 or newer" ;;
    binutils-gold*) echo "the linker gold or lld, for stacks that grow" ;;
    libc-ares-dev) echo "c-ares 1.18 or newer with its headers" ;;
    libssl-dev) echo "OpenSSL 3.0 or newer with its headers" ;;
    libgc-dev) echo "the collector of Boehm, Demers and Weiser (libgc) with its headers" ;;
    libmimalloc*) echo "mimalloc" ;;
    libtcmalloc*) echo "gperftools' tcmalloc_minimal" ;;
    *) echo "${1%%|*}" ;;
  esac
}

boost_need() {  # boost_need [COMPONENT]: the one that goes with the headers of this machine, else the newest of Debian 12
  local component=${1:+-$1} version
  version=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 'libboost1.*-dev' 2>/dev/null |
    sed -n 's/^ii *libboost\(1\.[0-9]*\)-dev$/\1/p' | sort -V | tail -n 1 || true)
  echo "libboost$component${version:-1.81}-dev|libboost$component-dev"
}

links_with() {  # links_with LINKER: whether g++ can use it
  local program status
  program=$(mktemp) || return 1
  g++ -fuse-ld="$1" -x c++ - -o "$program" 2>/dev/null <<<'int main() {}'
  status=$?
  rm -f "$program"
  return $status
}

known_package() {  # known_package NAME: whether apt has a version of it; `apt-get update` comes before
  [[ $(LC_ALL=C apt-cache show --no-all-versions "$1" 2>/dev/null) == *"Version: "* ]]
}

# Sets `packages` to the names that apt knows, and `unknown` to the needs for which it knows none.
choose_packages() {  # choose_packages NEED...
  local need name names
  packages=() unknown=()
  for need; do
    IFS='|' read -ra names <<<"$need"
    for name in "${names[@]}"; do
      known_package "$name" && packages+=("$name") && continue 2
    done
    unknown+=("$need")
  done
}

# Installs what `missing_needs` prints (a function of the script that calls this), or ends the script with status 3 and
# says what this system lacks.
install_missing() {  # install_missing SCRIPT MAY_INSTALL
  local script=$1 may_install=$2 round needs packages unknown as_root=() problem
  # Twice: which packages go with Python is known when there is one.
  for round in 1 2 3; do
    mapfile -t needs < <(missing_needs)
    ((${#needs[@]})) || return 0
    problem=
    if [[ -z $may_install ]]; then
      problem="missing, and --no-install forbids to install it"
    elif ! command -v apt-get >/dev/null; then
      problem="missing, and there is no apt-get to install it"
    elif ((EUID != 0)) && ! sudo -n true 2>/dev/null; then
      problem="missing, and neither root nor sudo is at hand to install it"
    elif ((round == 3)); then
      problem="still missing or too old after installing"
    fi
    [[ -z $problem ]] || lacking "$script" "$problem" "${needs[@]}"
    ((EUID == 0)) || as_root=(sudo -n)
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
      -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    ((round > 1)) || "${apt[@]}" update || lacking "$script" "apt-get update failed, and this is missing" "${needs[@]}"
    choose_packages "${needs[@]}"
    ((${#unknown[@]} == 0)) || lacking "$script" "apt has no package for this" "${unknown[@]}"
    echo "$script: installing ${packages[*]}"
    without_services "${apt[@]}" install --no-install-recommends "${packages[@]}" ||
      lacking "$script" "apt-get could not install" "${packages[@]}"
    hash -r
  done
}

# Runs a command that installs packages. Servers among them are not started then, unless the system has said what it wants:
# tests start servers of their own. Uses `as_root` of install_missing.
without_services() {  # without_services COMMAND...
  local policy=/usr/sbin/policy-rc.d
  if [[ -e $policy ]]; then
    "$@"
    return
  fi
  (
    # shellcheck disable=SC2064  # as it is now
    trap "${as_root[*]} rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null && "${as_root[@]}" chmod 755 "$policy"
    "$@"
  )
}

lacking() {  # lacking SCRIPT PROBLEM NEED...: ends the script
  local script=$1 problem=$2 need
  shift 2
  {
    printf '%s: %s: %s\n' "$script" "$problem" "${*%%|*}"
    printf '%s: this is %s; it knows the names of Debian 12, 13 and testing. To be installed by hand:\n' \
      "$script" "$(system_name)"
    for need; do printf '  %s\n' "$(meaning "$need")"; done
  } >&2
  exit 3
}
