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
/// f must not suspend the fiber: no yield, no channel, no heddle::mutex.
/// Cost when it does not block: about 5 ns. From a plain thread it just calls f.
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
