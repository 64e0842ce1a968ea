// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "execution.hpp"
#include "heddle/detail/locals.hpp"
#include "heddle/detail/start.hpp"
#include "heddle/detail/wait.hpp"
#include "scan_mark.hpp"

namespace heddle::detail {

/// Where a fiber is in its life. Written by whoever owns the fiber at that moment; read by reports.
enum class fiber_state : std::uint32_t {
  free,      ///< in a free list
  fresh,     ///< made, has not run: owns a closure and no stack
  starved,   ///< fresh, and there was no memory for a stack when its turn came
  runnable,  ///< in a run queue, or about to be
  running,   ///< on a machine
  parked,    ///< waits for a wake
  lending,   ///< joins a fiber that runs on its stack
  ended,     ///< its closure has returned; a join handle still looks at the result. Said by reports: `joiner` tells it
  parents,   ///< of the process that this one was forked from: it does not run here, even if woken
};

/// G: the control block of a fiber. Type-stable: its memory is returned only when the runtime ends, so reports
/// and gdb may look at any of them at any time.
///
/// 1. Exactly one of these holds it: a run queue, a machine, whoever will wake it, a free list.
/// 2. `joiner` of a joinable one: null at first; the handle may write a waiter or `detached_mark` over null, the fiber
///    exchanges it for `ended_mark` at its end. Who writes the second of the two marks frees the block; without a
///    detach that is the handle.
class alignas(64) fiber : public execution {
 public:
  atomic<fiber_state> state{fiber_state::free};
  bool big = false;                 ///< the closure is on the heap, and `space` holds its address
  scan_mark mark;                   ///< for a collector that scans stacks
  std::uint16_t unpreemptible = 0;  ///< scopes of no_preemption that it is in: 0 again when it ends

  std::uint64_t id = 0;
  char* name = nullptr;  ///< malloc'ed, or null
  atomic<waiter*> joiner{nullptr};

  locals_base* locals = nullptr;  ///< fiber-local variables, if it has any
  static constexpr std::size_t inline_space = inline_closure;
  alignas(16) unsigned char space[inline_space];
  const closure_type* closure = nullptr;

  void* closure_address() noexcept { return big ? big_closure() : space; }
  void*& big_closure() noexcept { return *reinterpret_cast<void**>(space); }
};

#if !defined(HEDDLE_MODEL) || !HEDDLE_MODEL  // the explorer's atomics are larger
static_assert(sizeof(fiber) == 192);
#endif

/// The stack class of a parent's fiber: there is no such stack, so a machine that would run it looks at it once more.
inline constexpr std::uint32_t parents_class = static_cast<std::uint32_t>(-1);

/// What `joiner` holds when the fiber has ended.
inline waiter* ended_mark() noexcept { return reinterpret_cast<waiter*>(std::uintptr_t{1}); }
/// What it holds when the handle has let go.
inline waiter* detached_mark() noexcept { return reinterpret_cast<waiter*>(std::uintptr_t{2}); }

/// A copy on the heap, ended by zero; throws std::bad_alloc.
char* copy_name(std::string_view name);
void free_name(char* name) noexcept;

/// A list of fibers by their `next`, first in, first out.
struct fiber_list {
  fiber* head = nullptr;
  fiber* tail = nullptr;
  std::size_t count = 0;

  void push(fiber* f) noexcept {
    // relaxed, atomic: a collector may be looking at `waits_at`, see waits_unreached().
    __atomic_store_n(&f->next, nullptr, __ATOMIC_RELAXED);
    if (tail != nullptr)
      __atomic_store_n(&tail->next, f, __ATOMIC_RELAXED);
    else
      head = f;
    tail = f;
    ++count;
  }
  fiber* pop() noexcept {
    fiber* f = head;
    if (f != nullptr) {
      head = f->next;
      if (head == nullptr) tail = nullptr;
      --count;
    }
    return f;
  }
  void append(fiber_list& other) noexcept {
    if (other.head == nullptr) return;
    if (tail != nullptr)
      __atomic_store_n(&tail->next, other.head, __ATOMIC_RELAXED);  // relaxed, atomic: as in push()
    else
      head = other.head;
    tail = other.tail;
    count += other.count;
    other = {};
  }
};

/// All control blocks of the process. They outlive the runtime, since a join handle may; when a runtime ends and none
/// is in use, the slabs are given back.
///
/// A child has its parent's blocks, since it may have handles and wake waiters. Before its first runtime those in
/// use are marked as the parent's, and are used again only when a handle releases them.
class fiber_pool {
 public:
  fiber_pool() = default;
  /// The one of the process.
  static fiber_pool& instance() noexcept;
  fiber_pool(const fiber_pool&) = delete;
  fiber_pool& operator=(const fiber_pool&) = delete;

  /// Moves up to `n` free blocks into `out`, at least one. Throws std::bad_alloc.
  void get(fiber_list& out, std::size_t n);
  void put(fiber_list& from, std::size_t n) noexcept;
  /// Clears one block and takes it.
  void put(fiber* f) noexcept;
  /// Frees what the block owns beside itself.
  static void clear(fiber& f) noexcept;
  /// Frees all slabs if every block is here.
  void trim() noexcept;
  /// Gives back the memory of slabs that nobody has used since the last call; their addresses stay. True if some blocks
  /// have not lain here long enough.
  bool give_back() noexcept;
  struct slab {
    fiber* fibers;
    std::size_t size;
    std::size_t used;  ///< built so far, from the front; 0 again when its memory has been given back
  };
  /// While a collector walks over the blocks, no slab goes. One walk at a time.
  void begin_walk() noexcept;
  void end_walk() noexcept;
  /// Afterwards a block whose address the caller has got by a race is seen as it was built.
  void see_built() noexcept { const thread_lock hold(lock_); }
  /// Copies slabs at higher addresses than `after`, which may be null, at most n; returns how many. Within a walk.
  std::size_t slabs_after(const fiber* after, slab* out, std::size_t n) noexcept;
  /// Whether p lies in a block, or in a closure that a block leads to. O(blocks), under the lock.
  bool holds(const char* p) noexcept;
  /// Around fork(): the pool is at rest meanwhile.
  void before_fork() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS { lock_.lock(); }
  void after_fork() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS { lock_.unlock(); }
  void after_fork_in_child() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    forked_.store(true, std::memory_order_relaxed);
    walked_ = trim_later_ = false;
    after_fork();
  }
  /// Before a runtime starts: in a child, marks the blocks that its parent uses. O(blocks), once.
  void leave_parents() noexcept;
  /// Whether f, which is in use, is a fiber of the process that this one was forked from.
  static bool is_parents(const fiber& f) noexcept {
    return forked_.load(std::memory_order_relaxed) || f.state.load(std::memory_order_relaxed) == fiber_state::parents;
  }
  /// Numbers for `id_block` fibers, from the one that is returned on: never the same in this process.
  std::uint64_t take_ids() noexcept { return id_blocks_.fetch_add(1, std::memory_order_relaxed) * id_block + 1; }
  static constexpr std::uint64_t id_block = 1024;
  /// Calls f(fiber&) for every block of this process that is not free. Without the lock: for reports, when the process
  /// is about to end.
  template <class F>
  void for_each(F f) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    for (const slab& s : slabs_)
      for (std::size_t i = 0; i != s.used; ++i)
        // acquire: so that the name and id of a fiber are seen with its state; release half in start_fiber().
        if (const fiber_state now = s.fibers[i].state.load(std::memory_order_acquire);
            now != fiber_state::free && now != fiber_state::parents)
          f(s.fibers[i]);
  }
  /// The fiber that has its block there, or null. Without the lock, as for_each(). O(log slabs).
  const fiber* find(const void* at) const noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS;
  static constexpr std::size_t batch = 32;

 private:
  friend struct debug_layout_access;
  static unsigned char space_[];
  static atomic<bool> forked_;  // in a child, until its first runtime starts
  void grow() HEDDLE_REQUIRES(lock_);
  fiber* build() HEDDLE_REQUIRES(lock_);

  thread_mutex lock_{lock_rank::pool};
  std::size_t built_ HEDDLE_GUARDED_BY(lock_) = 0;
  fiber_list free_ HEDDLE_GUARDED_BY(lock_);
  std::size_t least_free_ HEDDLE_GUARDED_BY(lock_) = 0;  // since the last give_back()
  std::vector<slab> slabs_ HEDDLE_GUARDED_BY(lock_);     // by address
  std::size_t unbuilt_ HEDDLE_GUARDED_BY(lock_) = 0;     // slabs before this one are built
  bool walked_ HEDDLE_GUARDED_BY(lock_) = false;
  bool trim_later_ HEDDLE_GUARDED_BY(lock_) = false;  // somebody wanted to, during a walk
  atomic<std::uint64_t> id_blocks_{0};
};

}  // namespace heddle::detail
