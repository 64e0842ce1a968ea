// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "barrier/words.hpp"
#include "heddle/detail/thread_mutex.hpp"

namespace heddle::gc::detail {

/// All threads that use the collected heap, and the bits that they heed.
///
/// Source: the ragged handshakes of Fil-C's collector; the exclusion is that of a machine by its monitor.
class mutators {
 public:
  constexpr mutators() noexcept = default;

  /// The calling thread uses the heap from now on, until it ends. Throws nothing: without memory the process ends,
  /// since what the thread does could not be known.
  mutator& begin() noexcept;

  /// For each mutator: waits until it is in no function of the collector, keeps it from entering one, calls f(mutator&)
  /// and lets it go on with `armed` as it is to be from now on. Those that come later begin with that. Afterwards no
  /// thread acts by an older value. Called by the collector; f takes locks of the heap at most.
  template <class F>
  void for_each_excluded(std::uint8_t armed, F f) noexcept {
    const heddle::detail::thread_lock hold(lock_);
    armed_ = armed | (armed_ & armed_bits::watched);
    close(armed_);
    for (mutator* m = first_; m != nullptr; m = m->next) {
      await(*m);
      f(*m);
      open(*m, armed_);
    }
  }
  /// Whether stores write cards (heap/cards.hpp) from the next for_each_excluded() on.
  void note_stores(bool note) noexcept;
  /// The bits that mutators heed now.
  std::uint8_t armed() noexcept {
    const heddle::detail::thread_lock hold(lock_);
    return armed_;
  }
  std::size_t count() noexcept {
    const heddle::detail::thread_lock hold(lock_);
    return count_;
  }

  /// Keeps the thread from entering a function of the collector, and returns when it is in none, until let_in(). No
  /// thread is stopped meanwhile.
  void keep_out(const thread_registration& t) noexcept;
  void let_in(const thread_registration& t) noexcept;

  /// Keeps this one out while f() runs, if it is known still and not the caller's; else false. f takes locks of the
  /// heap at most. The caller is in no function of the collector.
  template <class F>
  bool exclude(const mutator* which, F f) noexcept {
    const heddle::detail::thread_lock hold(lock_);
    mutator* m = first_;
    while (m != nullptr && m != which) m = m->next;
    if (m == nullptr) return false;
    shut(*m, armed_);
    // The stores above before the load below; light half in mutator_state::enter(), and in count_call.
    heddle::detail::platform::heavy_barrier();
    await(*m);
    f();
    open(*m, armed_);
    return true;
  }

  /// The calling thread, whose mutator m is, counts with that ledger from now on. It is in no function of the
  /// collector.
  void begin_counting(mutator& m, count_ledger& l, std::uint32_t base, count_shelf* shelves) noexcept;

  /// Has w called for each address that a thread stores by a gc::ptr from now on, when the thread is in no function of
  /// the collector: where, and by what code. Once; O(threads).
  using slot_watch = void (*)(void** slot, void* value, const void* code) noexcept;
  void watch(slot_watch w) noexcept;

  /// The calling thread's mutator is closed: waits until it is opened, or a moment.
  void wait_until_open() noexcept;

  /// A buffer that mutators have filled, or null. The caller gives it back by recycle().
  static shade_buffer* take_full() noexcept;
  /// f(shade_buffer&) for each that was filled before the call, and perhaps for some that are filled meanwhile; gives
  /// them back. A thread that fills them as fast as f empties them does not keep it for ever.
  template <class F>
  static void for_each_full(F f) noexcept {
    std::size_t queued = count_queued();
    shade_buffer* listed = take_listed();
    for (shade_buffer* b = nullptr; queued != 0 && (b = take_queued()) != nullptr; --queued) {
      f(*b);
      recycle(*b);
    }
    while (listed != nullptr) {
      shade_buffer& b = *std::exchange(listed, listed->next);
      f(b);
      recycle(b);
    }
  }
  static void recycle(shade_buffer& b) noexcept;
  /// Tells of p. Inside.
  static void push(mutator& m, const void* p) noexcept {
    if (p != nullptr && m.told.add(p)) push_new(m, p);
  }
  /// Gives the mutator's buffer to the marker, if there is anything in it. Inside, or excluded.
  static bool hand_over(mutator& m) noexcept;
  /// Empties it. Excluded.
  static void forget_told(mutator& m) noexcept {
    if (m.shades != nullptr) m.shades->count = 0;
  }

  // Around fork(), in this order: no thread is in a function of the collector, and none enters one.
  void stop_all() noexcept;  // a search for cycles does that, too
  void go_on() noexcept;
  /// The same in a child, where only the calling thread is left: blocks in caches of others are free again.
  void forget_others() noexcept;

 private:
  static void push_new(mutator& m, const void* p) noexcept;
  static std::size_t count_queued() noexcept;
  static shade_buffer* take_queued() noexcept;
  static shade_buffer* take_listed() noexcept;
  static void drop_marked(shade_buffer& b) noexcept;
  static void shut(mutator& m, std::uint8_t armed) noexcept;
  void close(std::uint8_t next) noexcept HEDDLE_REQUIRES(lock_);
  static void await(const mutator& m) noexcept;
  void open(mutator& m, std::uint8_t armed) noexcept;
  mutator* find(const thread_registration& t) noexcept HEDDLE_REQUIRES(lock_);
  static void end(void* m) noexcept;
  void remove(mutator& m) noexcept;

  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::mutators};
  mutator* first_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::size_t count_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::uint8_t armed_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::uint8_t notes_ HEDDLE_GUARDED_BY(lock_) = 0;
  atomic<std::uint32_t> opened_{0};  // changes when a mutator is opened; closed ones sleep on it
  atomic<std::uint32_t> sleepers_{0};
};

extern constinit mutators the_mutators;

/// While it lives the calling thread is in a function of the collector: the phase stays, the thread is not stopped, and
/// its mutator is its own. Short; nothing in it waits for the collector.
class critical_call {
 public:
  critical_call() noexcept {
    bits_ = words().enter();
    if ((bits_ & (armed_bits::closed | armed_bits::unknown)) != 0) [[unlikely]]
      bits_ = enter_slowly();
  }
  ~critical_call() { words().leave(); }
  critical_call(const critical_call&) = delete;
  critical_call& operator=(const critical_call&) = delete;

  bool marking() const noexcept { return (bits_ & armed_bits::marking) != 0; }
  bool watched() const noexcept { return (bits_ & armed_bits::watched) != 0; }
  bool inserting() const noexcept { return (bits_ & armed_bits::inserting) != 0; }
  static mutator& self() noexcept { return *this_mutator(); }

 private:
  static std::uint8_t enter_slowly() noexcept;
  std::uint8_t bits_;
};

}  // namespace heddle::gc::detail
