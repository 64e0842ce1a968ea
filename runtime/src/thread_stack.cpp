// SPDX-License-Identifier: BSL-1.0
#include "thread_stack.hpp"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>

#include <algorithm>

#include "stack_memory.hpp"

// Not there in programs that are linked whole and statically, nor in those of a C library before 2.34 without -ldl.
#pragma weak dlsym

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace heddle::detail {
namespace {

std::size_t up_to_pages(std::size_t bytes) noexcept { return (bytes + page_size - 1) / page_size * page_size; }

/// The thread-locals of all that is loaded, at most, as far as they were there when the program started.
std::size_t thread_locals() noexcept {
  std::size_t sum = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* library, std::size_t, void* out) {
        for (int i = 0; i != library->dlpi_phnum; ++i)
          if (library->dlpi_phdr[i].p_type == PT_TLS)
            *static_cast<std::size_t*>(out) += library->dlpi_phdr[i].p_memsz + library->dlpi_phdr[i].p_align;
        return 0;
      },
      &sum);
  return sum;
}

}  // namespace

std::size_t taken_from_thread_stack() noexcept {
  // glibc's own answer, not declared by any header: it refuses smaller stacks.
  using minimum = std::size_t (*)(const pthread_attr_t*);
  if (dlsym != nullptr)
    if (const auto ask = reinterpret_cast<minimum>(::dlsym(RTLD_DEFAULT, "__pthread_get_minstack"))) {
      pthread_attr_t attributes;
      ::pthread_attr_init(&attributes);
      const std::size_t least = ask(&attributes);
      ::pthread_attr_destroy(&attributes);
      return up_to_pages(least);
    }
  constexpr std::size_t surplus = std::size_t{16} << 10;  // for libraries to come, and the thread's descriptor
  return up_to_pages(thread_locals() + surplus);
}

std::size_t signal_stack_size() noexcept {
  constexpr std::size_t report = std::size_t{60} << 10;
  return up_to_pages(report + std::max<std::size_t>(::getauxval(AT_MINSIGSTKSZ), 2048));
}

}  // namespace heddle::detail
