#!/bin/bash
# Valgrind runs signal handlers on a stack that has been taken back.
#
# A thread gives the kernel a stack for its signal handlers by sigaltstack(), and takes it back by the same call with
# SS_DISABLE. The next handler that asks for such a stack (SA_ONSTACK) then runs on the thread's own. Under Valgrind
# 3.19 the call succeeds, and the thread reads back that there is none; but handlers go on to run where the old one was.
# A program that frees that memory before its thread ends has handlers write into what is somebody else's by then.
#
# Seen with valgrind 1:3.19.0-1 of Debian 12 on x86-64, by any of its tools. The standard: sigaltstack(2).
# Needs apt, a C compiler and the network; leaves nothing behind. Fails if what is seen is not this any more.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

echo 'deb http://snapshot.debian.org/archive/debian/20240101T000000Z bookworm main' >sources
options=(-o Dir::Etc::sourcelist="$work/sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists"
  -o Dir::Cache="$work/cache" -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
mkdir -p lists/partial cache/archives/partial
if ! { apt-get -qq "${options[@]}" update && apt-get -qq "${options[@]}" download valgrind=1:3.19.0-1; } &>apt.log; then
  apt-get -qq download valgrind=1:3.19.0-1 &>>apt.log || { cat apt.log; exit 1; }  # Debian 12's own source
fi
dpkg-deb -x valgrind_*.deb root

cat >subject.c <<'C'
#include <signal.h>
#include <stdio.h>
#include <string.h>

static char memory[1 << 16];
static volatile sig_atomic_t on_old_stack;

static void handler(int number) {
  char here;
  (void)number;
  on_old_stack = &here >= memory && &here < memory + sizeof memory;
}

int main(void) {
  stack_t stack, now;
  struct sigaction action;
  memset(&stack, 0, sizeof stack);
  stack.ss_sp = memory;
  stack.ss_size = sizeof memory;
  sigaltstack(&stack, NULL);
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, NULL);
  sigaltstack(NULL, &now);
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  printf("disabled: %s, the handler ran on the old stack: %s\n", now.ss_flags & SS_DISABLE ? "yes" : "no",
         on_old_stack ? "yes" : "no");
  return 0;
}
C
cc -O1 subject.c -o subject

plain=$(./subject)
checked=$(VALGRIND_LIB=$work/root/usr/libexec/valgrind root/usr/bin/valgrind.bin -q --tool=none ./subject)
echo "by itself:      $plain"
echo "under Valgrind: $checked"
[[ $plain == 'disabled: yes, the handler ran on the old stack: no' ]]
[[ $checked == 'disabled: yes, the handler ran on the old stack: yes' ]]
