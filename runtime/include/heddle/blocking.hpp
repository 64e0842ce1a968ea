// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include "heddle/detail/config.hpp"

namespace heddle {
namespace detail {
/// Announces, for its lifetime, that the fiber may block its kernel thread.
class HEDDLE_EXPORT blocking_section {
 public:
  blocking_section() noexcept;
  ~blocking_section();
  blocking_section(const blocking_section&) = delete;
  blocking_section& operator=(const blocking_section&) = delete;

 private:
  bool announced_;
};
}  // namespace detail

/// Runs f() on this kernel thread and tells the runtime that it may block in the kernel: if it does, and other
/// fibers wait, they get the processor within a millisecond. (A call that was not announced costs its processor
/// too, within 20 ms.) Returns what f returns.
///
/// f stays on this kernel thread to its end. A call in f that would suspend the fiber (of a channel, a heddle::mutex,
/// join, sleep_for) blocks the thread instead, as on a plain thread. The processor is given up first, so that other
/// fibers run, and the fiber gets one again after f. yield() gives it up if others wait. So f may use anything of
/// heddle. Code that only waits for fibers needs no blocking(), and a thread for each wait is a high price. A wait in
/// f is left out of the search for deadlocks, and needs a machine to take the processor (options::max_machines).
///
/// Calls may be nested: the outermost counts. Cost when it does not block: about 5 ns. From a plain thread it just
/// calls f.
///
/// \code
/// ssize_t n = heddle::blocking([&] { return ::read(fd, buffer, sizeof buffer); });
/// \endcode
template <class F>
decltype(auto) blocking(F&& f) {
  detail::blocking_section announced;
  return std::forward<F>(f)();
}

}  // namespace heddle
