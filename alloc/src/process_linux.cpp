// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "os.hpp"
#include "process.hpp"

namespace heddle::detail::process {
namespace {

constinit std::size_t thread_local_bytes = 0;
constinit cpu_set_t first_cpus{};
constinit bool knows_first_cpus = false;
constinit atomic<bool> heard_of_filters{false};

int add_thread_locals(dl_phdr_info* object, std::size_t, void* sum) noexcept {
  for (unsigned i = 0; i != object->dlpi_phnum; ++i)
    if (const auto& segment = object->dlpi_phdr[i]; segment.p_type == PT_TLS)
      *static_cast<std::size_t*>(sum) += segment.p_memsz + segment.p_align;
  return 0;
}

/// Read now: nobody holds a lock of the loader's yet, or has changed a thread's affinity.
[[gnu::constructor]] void look_at_beginning() noexcept {
  const os::errno_kept keep;
  std::size_t sum = 0;
  ::dl_iterate_phdr(add_thread_locals, &sum);
  thread_local_bytes = sum;
  knows_first_cpus = ::sched_getaffinity(0, sizeof first_cpus, &first_cpus) == 0;  // else there are too many to tell
}

/// The number behind such a word at the begin of a line; `otherwise` if there is none.
std::uint64_t number_behind(const char* text, const char* word, std::uint64_t otherwise) noexcept {
  const char* const at = std::strstr(text, word);
  return at != nullptr ? std::strtoull(at + std::strlen(word), nullptr, 10) : otherwise;
}

}  // namespace

nanoseconds_t coarse_now() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return static_cast<nanoseconds_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

std::size_t thread_locals() noexcept { return thread_local_bytes; }

void make_normal(pthread_t thread) noexcept {
  const os::errno_kept keep;
  const sched_param none{};
  ::pthread_setschedparam(thread, SCHED_OTHER, &none);
  if (knows_first_cpus) ::pthread_setaffinity_np(thread, sizeof first_cpus, &first_cpus);
}

void hear_of_filters() noexcept { heard_of_filters.store(true, std::memory_order_relaxed); }

bool has_heard_of_filters() noexcept { return heard_of_filters.load(std::memory_order_relaxed); }

call_filters filters() noexcept {
  if (has_heard_of_filters()) return unknown_filters;
  const os::errno_kept keep;
  const int file = ::open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return unknown_filters;
  char text[4096];
  const ssize_t n = ::read(file, text, sizeof text - 1);
  ::close(file);
  text[n > 0 ? n : 0] = '\0';
  const std::uint64_t mode = number_behind(text, "\nSeccomp:", unknown_filters);
  if (mode == unknown_filters) return unknown_filters;
  // Linux tells their number since 5.9.
  return mode == 0 ? no_filters : mode | number_behind(text, "\nSeccomp_filters:", 0) << 8;
}

}  // namespace heddle::detail::process
