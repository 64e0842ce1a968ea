// SPDX-License-Identifier: BSL-1.0
//
// Memory outside of stacks and of the collected heap in which values of the program lie: the buffer of a channel, the
// result of a future, a fiber-local value. A value may hold addresses of collected objects, so a collector scans it.
#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

class scanned_range;
template <class Node>
class sharded_list;

/// All such memory. Functions from any thread.
class HEDDLE_EXPORT scanned_memory {
 public:
  /// A collector is linked to the program. Before it says so, nothing is listed, and what was made before never is: so
  /// it says so before the constructors of static objects run.
  static void want() noexcept;
  // relaxed: whoever makes a range wants nothing else to be seen.
  static bool wanted() noexcept { return wanted_.load(std::memory_order_relaxed); }

  /// f(context, from, bytes) for all that is listed, under a lock: the memory stays meanwhile, though its values
  /// change, and who ends a range waits. f takes no lock of the program. Nobody may be suspended. A range that is made
  /// meanwhile may be left out: the write barrier tells of what is put into it.
  using visitor = void(void* context, const void* from, std::size_t bytes) noexcept;
  static void for_each(visitor* f, void* context) noexcept;

 private:
  friend class scanned_range;
  static void add(scanned_range& r) noexcept;
  static void remove(scanned_range& r) noexcept;
  static std::atomic<bool> wanted_;
};

/// One stretch of it: listed while this lives, or until end(), which must come after the values have ended and before
/// the memory is given back. So, as a member, it stands before the values. Costs a load and a branch where no collector
/// is, else about 20 ns for both.
class scanned_range {
 public:
  scanned_range(const void* from, std::size_t bytes) noexcept {
    if (from == nullptr || !scanned_memory::wanted()) return;
    from_ = static_cast<const char*>(from);
    bytes_.store(bytes, std::memory_order_relaxed);  // the lock of the list publishes it
    scanned_memory::add(*this);
  }
  scanned_range(const scanned_range&) = delete;
  scanned_range& operator=(const scanned_range&) = delete;
  ~scanned_range() { end(); }
  void end() noexcept {
    if (!is_listed()) return;
    scanned_memory::remove(*this);
    from_ = nullptr;
  }

  /// A value is about to be made at `place`, which is within the memory, or is the first place behind the range: then
  /// the range grows. Before the value is made, so that a collector which has armed the write barrier sees either the
  /// range with the value, or has the barrier tell of it. By one thread at a time.
  void begins_value(void* place, std::size_t bytes) noexcept {
    if (!is_listed()) return;
    const std::size_t needed = static_cast<std::size_t>(static_cast<char*>(place) - from_) + bytes;
    if (needed > bytes_.load(std::memory_order_relaxed)) grow(place, bytes, needed);
  }
  /// The value at `place` has ended: the addresses that it has left there keep nothing.
  void ended_value(void* place, std::size_t bytes) const noexcept {
    if (is_listed()) clear(place, bytes);
  }

  // The list's:
  scanned_range* next = nullptr;
  scanned_range* previous = nullptr;

 private:
  template <class Node>
  friend class sharded_list;
  friend class scanned_memory;
  scanned_range() noexcept = default;
  // In the library, since calls of memset() make functions compiled for segmented stacks ask for a large one.
  HEDDLE_EXPORT void grow(void* place, std::size_t bytes, std::size_t needed) noexcept;
  HEDDLE_EXPORT static void clear(void* place, std::size_t bytes) noexcept;
  bool is_listed() const noexcept { return from_ != nullptr; }

  const char* from_ = nullptr;  ///< null: it is not listed
  std::atomic<std::size_t> bytes_{0};
};

/// Stands for the range of values that hold no such addresses.
struct unscanned_range {
  constexpr unscanned_range(const void*, std::size_t) noexcept {}
  constexpr void end() const noexcept {}
  constexpr void begins_value(void*, std::size_t) const noexcept {}
  constexpr void ended_value(void*, std::size_t) const noexcept {}
};

/// A class template has this beside its T's. A handle of the collector is not trivially copyable, nor is any type with
/// a member that is one. Plain pointers to collected objects keep nothing outside of stacks.
template <class T>
using range_of = std::conditional_t<std::is_trivially_copyable_v<T>, unscanned_range, scanned_range>;

}  // namespace heddle::detail
