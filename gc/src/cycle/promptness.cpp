// SPDX-License-Identifier: BSL-1.0
#include "cycle/promptness.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace heddle::gc::detail {
namespace {

/// The kernel's struct sched_attr, as far as its first version goes.
struct scheduling {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime;
  std::uint64_t deadline;
  std::uint64_t period;
};

}  // namespace

void be_prompt() noexcept {
  scheduling s{};
  if (::syscall(SYS_sched_getattr, 0L, &s, sizeof s, 0L) != 0 || s.policy != SCHED_OTHER) return;
  s.size = sizeof s;
  s.runtime = 100'000;  // the least that there is
  ::syscall(SYS_sched_setattr, 0L, &s, 0L);
}

}  // namespace heddle::gc::detail
