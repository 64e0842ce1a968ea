// SPDX-License-Identifier: BSL-1.0
//
// A ledger is what a thread has as the owner of counted objects: a number that their local words have, blocks of
// memory, references that others have handed to it, and candidates for a search for cycles. It outlives its thread: the
// next thread that counts takes it over, with all objects that the old one has owned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "barrier/mutators.hpp"
#include "count/count_span.hpp"

namespace heddle::gc::detail {

/// Addresses, as many as there is address space for.
class header_list {
 public:
  constexpr header_list() noexcept = default;
  /// False: no memory.
  bool push(count_header* h) noexcept;
  /// Room for so many in all. False: no memory.
  bool reserve(std::size_t n) noexcept;
  std::size_t count() const noexcept { return count_; }
  count_header* operator[](std::size_t i) const noexcept { return first_[i]; }
  void clear() noexcept { count_ = 0; }
  /// The memory, too.
  void free() noexcept;
  void swap(header_list& other) noexcept;

 private:
  count_header** first_ = nullptr;
  std::size_t count_ = 0;
  std::size_t room_ = 0;
};

/// Dead objects whose ends are still to come, linked by their headers, the last one first.
class dead_list {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  /// h has no reference any more, and is nobody else's business.
  void push(count_header& h) noexcept;
  count_header* pop() noexcept;

 private:
  count_header* first_ = nullptr;
};

/// The results of references that have ended: objects that are dead, and what is to be done outside of all functions
/// of the collector.
struct ended {
  dead_list dead;
  count_ledger* to_settle = nullptr;  ///< too much waits for it
  bool search = false;                ///< there are many candidates

  bool has_errands() const noexcept { return to_settle != nullptr || search; }
  bool is_over() const noexcept { return dead.empty() && !has_errands(); }
};

/// Objects are being destroyed by a function that is further up on this stack: what dies meanwhile waits in its list.
struct ending_frame {
  const void* fiber;  ///< caller(): of the fiber or thread on whose stack it is
  dead_list& dead;
  ending_frame* next = nullptr;
  count_ledger* in = nullptr;
};

/// One acts for it at a time: the thread that has it, inside a critical_call; somebody that has excluded that thread;
/// or, if no thread has it, the one that has taken it by ledgers::take_vacant().
class count_ledger {
 public:
  explicit count_ledger(std::uint32_t number) noexcept : number_(number) {}
  /// False: no memory.
  bool begin() noexcept;

  /// As it stands in local words.
  std::uint32_t owner() const noexcept { return number_ << local_bits::owner_shift; }
  /// The local word of an object of its own that has been noted and has one reference.
  std::uint32_t base() const noexcept { return owner() | local_bits::noted | local_bits::one; }
  count_shelf* shelves() const noexcept { return shelves_; }

  // --- memory -------------------------------------------------------------------------------------------------------
  /// A block at hand or a new one; null: no memory.
  void* get(const kind& k) noexcept;
  /// The object's block is free. `s`: its span, of any ledger.
  void put(void* object, count_span& s, ended& e) noexcept {
    count_header* const h = static_cast<count_header*>(object) - 1;
    h->local.store(0, std::memory_order_relaxed);
    h->shared.store(0, std::memory_order_relaxed);
    s.holder == this ? put_here(object, s) : put_elsewhere(object, s, e);
  }

  // --- what others leave for it: from any thread --------------------------------------------------------------------
  /// The reference waits for the ledger to merge the object. True: so many wait that somebody should see to it.
  bool hand_over(count_header& h) noexcept;
  /// seq_cst: see ledgers::give_back(). On this processor a plain load.
  bool has_mail() const noexcept { return mail_.load(std::memory_order_seq_cst) != 0; }
  /// Sees to all that others have left: merges, and takes blocks back.
  void settle(ended& e) noexcept;

  /// f(object) for each block that others have freed and the ledger has not taken back yet. While all threads are
  /// stopped.
  template <class F>
  void for_each_returned(F f) const noexcept {
    // relaxed: those that have freed them are stopped.
    std::uintptr_t at = returned_.load(std::memory_order_relaxed) & ((std::uintptr_t{1} << 48) - 1);
    for (; at != 0; at = reinterpret_cast<std::uintptr_t>(link_of(reinterpret_cast<void*>(at))))
      f(reinterpret_cast<void*>(at));
  }

  // --- candidates for a search --------------------------------------------------------------------------------------
  void note(count_header& h) noexcept;
  bool is_full() const noexcept { return candidates.count() >= most_candidates; }
  header_list candidates;
  std::uint64_t forgotten = 0;  ///< that there was no memory for

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t most_candidates = 6, enough_mail = 2, enough_returned = 3;
#else
  static constexpr std::size_t most_candidates = 16'384, enough_mail = 64, enough_returned = 1024;
#endif

  ending_frame* frames = nullptr;  ///< of fibers that are destroying objects, and began to on this thread
  atomic<const mutator*> holder{nullptr};
  count_ledger* next = nullptr;         ///< of all
  count_ledger* next_vacant = nullptr;  ///< of those that nobody has

 private:
  void* take_from(count_span& s, const kind& k, count_shelf& shelf) noexcept;
  static void list(count_span& s, count_shelf& shelf) noexcept;
  static void unlist(count_span& s, count_shelf& shelf) noexcept;
  void put_here(void* object, count_span& s) noexcept {
    count_shelf& shelf = *s.home;
    void*& list_of = &s == shelf.current ? shelf.free : s.free;
    link_of(object) = list_of;
    list_of = object;
    if (&s == shelf.current) return;
    --s.used;
    if (!s.is_listed) [[unlikely]]
      list(s, shelf);
    if (s.used == 0) [[unlikely]]
      keep_or_free(s, shelf);
  }
  void put_elsewhere(void* object, count_span& s, ended& e) noexcept;
  void keep_or_free(count_span& s, count_shelf& shelf) noexcept;
  void merge(count_header& h, ended& e) noexcept;

  const std::uint32_t number_;
  count_shelf* shelves_ = nullptr;
  heddle::detail::thread_mutex mail_lock_{heddle::detail::lock_rank::lists};
  header_list handed_over_ HEDDLE_GUARDED_BY(mail_lock_);
  header_list settling_;                // those that the ledger is at
  atomic<std::uint32_t> mail_{0};       // something has been handed over, or given back
  atomic<std::uintptr_t> returned_{0};  // blocks that others have freed, linked; how many in the upper 16 bits
};

/// All ledgers of the process. They are never taken back.
class ledgers {
 public:
  constexpr ledgers() noexcept = default;

  /// One for the calling thread, which has no ledger yet and is in no function of the collector. Without memory the
  /// process ends.
  void begin_counting() noexcept;
  /// The ledger of a local word. There is one.
  count_ledger& of(std::uint32_t local) const noexcept {
    return *table_[(local & local_bits::owner) >> local_bits::owner_shift];
  }
  /// Calls f for l, whoever has it, while nobody else acts for it. The caller is in no function of the collector. f
  /// takes locks of the heap at most.
  using function = void (*)(count_ledger&, void* argument);
  void act(count_ledger& l, function f, void* argument) noexcept;
  /// Sees to what others have left for l, in the same way. The caller calls destroy_all().
  void settle(count_ledger& l, ended& e) noexcept;
  /// f(count_ledger&) for each. While all threads are stopped, or for those that existed before the call.
  template <class F>
  void for_each(F f) noexcept {
    // acquire: so that the ledgers are seen as they were made; release half in make().
    for (count_ledger* l = all_.load(std::memory_order_acquire); l != nullptr; l = l->next) f(*l);
  }
  /// In a child of a fork: those of threads that are not there are vacant.
  void after_fork_in_child() noexcept;

 private:
  count_ledger* make() noexcept HEDDLE_REQUIRES(lock_);
  bool act_as_holder(count_ledger& l, const mutator* m, function f, void* argument) noexcept;
  bool act_as_visitor(count_ledger& l, function f, void* argument) noexcept;
  bool take_vacant(count_ledger& l) noexcept;
  void give_back(count_ledger& l) noexcept;
  static void end_counting(mutator& m) noexcept;

  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::pool};
  count_ledger* vacant_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::uint32_t made_ HEDDLE_GUARDED_BY(lock_) = 0;
  atomic<count_ledger*> all_{nullptr};
  count_ledger** table_ = nullptr;
};

extern constinit ledgers the_ledgers;

/// The calling thread's, in a function of the collector; it has one.
inline count_ledger& ledger_here() noexcept { return *this_mutator()->ledger; }

}  // namespace heddle::gc::detail
