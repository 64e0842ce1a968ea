// SPDX-License-Identifier: BSL-1.0
#include "shim/circumstances/failing_calls.hpp"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace heddle::testing {
namespace {

std::atomic<int> share{0};
std::atomic<long> failures{0};
std::atomic<int> announced{-1};  // the descriptor on which the kernel asks

/// Answers each call that the kernel asks about: ENOMEM, or let it go on.
void* supervise(void*) {
  while (announced == -1) ::usleep(100);
  const int listener = announced;
  constexpr unsigned long set_flags = SECCOMP_IOW(4, std::uint64_t);  // Linux 6.6, for speed: asker and answerer swap
  ::ioctl(listener, set_flags, 1);
  for (std::uint64_t state = 88172645463325252u;;) {
    seccomp_notif question{};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0) continue;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const bool fails = static_cast<int>(state % 100) < share;
    seccomp_notif_resp answer{};
    answer.id = question.id;
    if (fails) {
      answer.error = -ENOMEM;
      ++failures;
    } else {
      answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

}  // namespace

failing_calls::failing_calls(std::initializer_list<int> numbers) {
  sock_filter program[32];
  unsigned short n = 0;
  const auto count = static_cast<std::uint8_t>(numbers.size());
  program[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (std::uint8_t left = count; int number : numbers)
    program[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), left--, 0);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  const sock_fprog filter{n, program};
  pthread_t supervisor;
  if (::pthread_create(&supervisor, nullptr, supervise, nullptr) != 0) return;
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  listener_ =
      static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
  announced = listener_;
}

void failing_calls::percent(int of_hundred) { share = of_hundred; }
long failing_calls::failed() { return failures; }

}  // namespace heddle::testing
