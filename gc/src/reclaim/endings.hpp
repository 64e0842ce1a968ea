// SPDX-License-Identifier: BSL-1.0
//
// Endings: destructors and cleanups that are to run because objects have died.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>

#include "mark/marker.hpp"

namespace heddle::gc::detail {

/// A destructor or a cleanup that is due.
struct ending {
  const kind* of = nullptr;  ///< null: a cleanup
  char* object = nullptr;    ///< kept until the destructor has run
  std::size_t bytes = 0;     ///< of its block
  void (*f)(void*) = nullptr;
  void* argument = nullptr;
  void run() const noexcept;
};

struct ending_counts {
  std::size_t destructors_run = 0;
  std::size_t destructors_due = 0;
  std::size_t cleanups_run = 0;
  std::size_t cleanups_due = 0;
};

/// Finds dead objects, and runs their endings, one after the other.
///
/// 1. An object whose destructor is due is marked, and is a root until it has run; its bit of constructed objects is
///    taken away. So its memory goes in a later cycle, and nothing runs twice.
/// 2. In it each address that its type declares, of an object that has died too, is null by then.
class endings {
 public:
  /// After all has been marked, before anything is swept: queues the endings of dead objects. From dead objects of
  /// types without declared addresses it keeps all that they reach for another cycle.
  void find_dead(marker& m) noexcept;
  /// Queued endings keep their objects.
  void visit_roots(marker& m) noexcept;

  std::uint64_t add_cleanup(const void* object, void (*f)(void*), void* argument);
  bool cancel_cleanup(std::uint64_t number) noexcept;

  /// Runs one; false: none is due.
  bool run_one() noexcept;
  /// How many. Not the one that is running: in a child of a fork nobody is at it, and its object stays.
  std::size_t due() noexcept;
  ending_counts counts() noexcept;

  heddle::detail::thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  struct watched {
    const void* object;
    void (*f)(void*);
    void* argument;
  };
  void find_dead_objects(std::size_t first, marker& m) noexcept HEDDLE_REQUIRES(lock_);
  void find_dead_of(const kind& k, marker& m) noexcept HEDDLE_REQUIRES(lock_);
  void find_dead_cleanups() noexcept HEDDLE_REQUIRES(lock_);

  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::endings};
  std::deque<ending> queue_ HEDDLE_GUARDED_BY(lock_);
  ending running_ HEDDLE_GUARDED_BY(lock_);
  std::unordered_map<std::uint64_t, watched> watched_ HEDDLE_GUARDED_BY(lock_);
  std::uint64_t next_number_ HEDDLE_GUARDED_BY(lock_) = 1;
  ending_counts run_ HEDDLE_GUARDED_BY(lock_);  // the dues are counted in counts()
};

endings& the_endings() noexcept;

}  // namespace heddle::gc::detail
