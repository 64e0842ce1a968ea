// SPDX-License-Identifier: BSL-1.0
//
// The kernel as the allocator sees it while a sequence of calls runs: it gives the same random numbers each time, says
// no when it is told to, and at the end all that was mapped is gone. The program is linked with --wrap for each of the
// functions (CMakeLists.txt), so that calls of libraries do not come by here.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <map>

namespace heddle::testing {

class kernel {
 public:
  /// Of write(): what is written there is dropped.
  static constexpr int sink = -7;

  static kernel& instance();

  /// `address_space`: so many bytes may be mapped, and that is what getrlimit() says; SIZE_MAX: no limit.
  void begin(std::size_t address_space);
  /// Unmaps what the allocator has mapped since.
  void end();

  /// After `grace` further calls, the next `times` fail as if there were no memory.
  void refuse(unsigned grace, unsigned times) noexcept { grace_ = grace, times_ = times; }
  /// How many calls have failed, for this reason or another.
  std::size_t refusals() const noexcept { return refusals_; }
  /// Bytes that are mapped between two addresses.
  std::size_t mapped(std::uintptr_t from, std::uintptr_t to) const;

  /// Whether f() ends the process with a message of the allocator's. If so nothing of the allocator may be used
  /// afterwards: locks may be held for ever.
  template <class F>
  bool ends_process(F f) {
    if (setjmp(before_) != 0) {
      expecting_ = false;
      return true;
    }
    expecting_ = true;
    f();
    expecting_ = false;
    return false;
  }

  // What the wrapped functions ask.
  bool active() const noexcept { return active_; }
  bool refuses() noexcept;
  /// Whether so many bytes more are too many.
  bool exceeds(std::size_t bytes) noexcept;
  void note_failure() noexcept { ++refusals_; }
  void add(const void* at, std::size_t bytes);
  void remove(const void* at, std::size_t bytes);
  std::uint64_t random() noexcept;
  std::size_t address_space() const noexcept { return address_space_; }
  bool expecting() const noexcept { return expecting_; }
  [[noreturn]] void go_back() { std::longjmp(before_, 1); }

 private:
  bool active_ = false;
  bool expecting_ = false;
  unsigned grace_ = 0, times_ = 0;
  std::size_t refusals_ = 0;
  std::size_t address_space_ = SIZE_MAX;
  std::uint64_t random_ = 0;
  std::map<std::uintptr_t, std::uintptr_t> mappings_;  ///< begin to end
  std::jmp_buf before_;
};

}  // namespace heddle::testing
