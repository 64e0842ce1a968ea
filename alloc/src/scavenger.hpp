// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"
#include "span.hpp"

namespace heddle::detail {

class mcentral;

/// Gives memory back to the kernel that nobody has asked for in a while: free pages of the heap, and free pages inside
/// of spans that nobody owns. A thread does it, which is started when there is enough to give back, works in small
/// steps, and ends when nothing is left: a process that does not free much never has it, and one that is idle neither.
///
/// Source: jemalloc's decay and Go's background scavenger; scudo for pages inside of what is in use.
class scavenger {
 public:
  /// Below so many bytes it is not worth a thread.
  static constexpr std::size_t worthwhile = std::size_t{8} << 20;
  /// A step every quarter of the pace; what has been free for four of them is given back.
  static constexpr std::uint32_t steps_per_pace = 4;

  constexpr scavenger() noexcept = default;

  /// So many bytes of free pages have memory. Any thread; a load and a compare.
  void notice_idle(std::size_t bytes) noexcept {
    if (bytes > worthwhile && !wanted_.load(std::memory_order_relaxed)) want();
  }
  /// A span has been given up, or taken again, that is mostly free.
  void notice_sparse(std::size_t bytes) noexcept;
  void notice_dense(std::size_t bytes) noexcept { sparse_.fetch_sub(bytes, std::memory_order_relaxed); }
  /// Starts the thread if it is wanted and not there. Called where no lock is held. `caller`: the code that frees, or
  /// null if it allocates. Not if that is the dynamic loader: glibc has it free what threads leave behind while it
  /// holds the lock without which no thread can be made.
  void poll(const void* caller) noexcept {
    if (wanted_.load(std::memory_order_relaxed) && !running_.load(std::memory_order_relaxed)) [[unlikely]]
      start(caller);
  }

  /// Gives back all that can be, at once. Returns how many bytes.
  std::size_t release_all() noexcept;
  /// Looks at each span of a class that nobody owns and that has been left alone since the last step, or at all.
  /// Returns how many bytes it has given back.
  std::size_t tidy_spans(mcentral& central, bool all) noexcept;
  /// The number of the step.
  std::uint32_t round() const noexcept { return round_.load(std::memory_order_relaxed); }
  /// In the child of a fork there is no thread.
  void forked() noexcept { running_.store(false, std::memory_order_relaxed); }
  bool running() const noexcept { return running_.load(std::memory_order_acquire); }

 private:
  void want() noexcept;
  void start(const void* caller) noexcept;
  static void* run(void* self) noexcept;
  void work() noexcept;
  std::size_t tidy_spans(bool all) noexcept;

  atomic<bool> wanted_{false};
  atomic<bool> running_{false};
  atomic<std::uint32_t> round_{0};
  atomic<std::uint32_t> sleeping_{0};
  atomic<std::size_t> sparse_{0};   ///< bytes of spans that nobody owns
  atomic<std::size_t> settled_{0};  ///< what that was when the thread had done what could be done
};

extern scavenger the_scavenger;

/// Gives back the pages in which no block is in use, of a span that the caller alone has. Returns how many bytes.
std::size_t tidy(span& s) noexcept;

}  // namespace heddle::detail
