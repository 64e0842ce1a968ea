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
  const kind* of = nullptr;    ///< the kind of the dead object
  char* object = nullptr;      ///< kept until the destructor has run; null: a cleanup
  std::size_t bytes = 0;       ///< of its block
  void (*f)(void*) = nullptr;  ///< a cleanup's
  void* argument = nullptr;
  bool is_cleanup() const noexcept { return f != nullptr; }
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
  /// How many are due, and how many have ended so far: without the lock, as they were a moment ago.
  std::size_t due_lately() const noexcept { return due_.load(std::memory_order_relaxed); }
  std::size_t ended_lately() const noexcept { return ended_.load(std::memory_order_relaxed); }
  /// Whether the caller is inside of an ending: the fiber or the plain thread that runs it.
  bool runs_here() const noexcept;
  /// Whether the destructor of the object at, or around, p is running. From any thread.
  bool is_ending(const void* p) noexcept;
  /// In a child of a fork: an ending that another thread ran has no end, and its runner's name may be a new thread's.
  /// `goes_on`: the caller's runs_here() before; a fiber is not one any more in the child.
  void after_fork_in_child(bool goes_on) noexcept;
  /// Inside of an ending: the one that runs.
  const ending& running_here() const noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS { return running_; }

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
  ending running_ HEDDLE_GUARDED_BY(lock_);  // its runner, who writes it, reads it without the lock
  atomic<std::size_t> due_{0};               // the length of the queue; changes under the lock
  atomic<std::size_t> ended_{0};             // the same
  atomic<const void*> runner_{nullptr};      // its caller(); null: none runs
  std::unordered_map<std::uint64_t, watched> watched_ HEDDLE_GUARDED_BY(lock_);
  std::uint64_t next_number_ HEDDLE_GUARDED_BY(lock_) = 1;
  ending_counts run_ HEDDLE_GUARDED_BY(lock_);  // the dues are counted in counts()
};

endings& the_endings() noexcept;

}  // namespace heddle::gc::detail
