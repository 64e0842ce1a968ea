#!/bin/bash
# Under no_new_privs a program whose file has effective capabilities gets none of them, and is secure all the same.
#
# prctl(PR_SET_NO_NEW_PRIVS) has execve() grant nothing: file capabilities are ignored, says its manual. The process has
# no more rights than its starter, so nothing needs protection from that one. With a capability that the file has in
# its permitted set alone, AT_SECURE is 0 then, as one would expect. With the effective flag on the file as well (setcap
# ...+ep, the usual form) no capability is granted either, but AT_SECURE is 1: so the loader drops LD_PRELOAD and
# LD_LIBRARY_PATH, and secure_getenv() gives nothing. Containers with no-new-privileges, and services of systemd with
# NoNewPrivileges=yes, meet this with a tool such as ping or a web server that has cap_net_bind_service: a preloaded
# library is missing, and no right explains why.
#
# Seen with Linux 6.18.44 (security/commoncap.c: the flag of the file counts by itself), set by setcap of libcap2-bin
# 1:2.66-4+deb12u2 of Debian 12, started by Python 3.11.
# Needs root, apt, a C compiler, python3, and a temporary folder that takes file capabilities; leaves nothing behind.
# Fails if what is seen is not this any more.
set -euo pipefail

[[ $(id -u) == 0 ]] || { echo "only root gives capabilities to files" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"

echo 'deb http://snapshot.debian.org/archive/debian/20251101T000000Z bookworm main' >sources
options=(-o Dir::Etc::sourcelist="$work/sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists"
  -o Dir::Cache="$work/cache" -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
mkdir -p lists/partial cache/archives/partial
if ! { apt-get -qq "${options[@]}" update && apt-get -qq "${options[@]}" download libcap2-bin; } &>apt.log; then
  apt-get -qq download libcap2-bin &>>apt.log || { cat apt.log; exit 1; }  # Debian 12's own source
fi
dpkg-deb -x libcap2-bin_*.deb root

cat >subject.c <<'C'
#include <stdio.h>
#include <sys/auxv.h>

int main(void) {
  char line[256];
  unsigned long long permitted = 0;
  FILE* status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status)) sscanf(line, "CapPrm: %llx", &permitted);
  printf("secure %lu, %s\n", getauxval(AT_SECURE), permitted != 0 ? "has the capability" : "has no capability");
}
C
cat >start.py <<'P'
import ctypes, os, sys
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
if sys.argv[2] == "no_new_privs":
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
os.execv(sys.argv[1], [sys.argv[1]])
P
cc -O1 -o without subject.c
for kind in p ep; do
  cp without "with_$kind"
  root/sbin/setcap "cap_net_raw+$kind" "with_$kind"
done

found=$(for program in without with_p with_ep; do
  for how in usual no_new_privs; do
    echo "$program, $how: $(python3 start.py "./$program" "$how")"
  done
done)
echo "$found"
expected='without, usual: secure 0, has no capability
without, no_new_privs: secure 0, has no capability
with_p, usual: secure 1, has the capability
with_p, no_new_privs: secure 0, has no capability
with_ep, usual: secure 1, has the capability
with_ep, no_new_privs: secure 1, has no capability'
if [[ $found == "$expected" ]]; then
  echo "as described"
else
  echo "not what is described" >&2
  exit 1
fi
