// SPDX-License-Identifier: BSL-1.0
#include "reclaim/endings.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <new>

#include "heap/immortal.hpp"
#include "heddle/detail/wait.hpp"
#include "reclaim/runner_watch.hpp"
#include "roots/registers.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;

namespace {

/// Of an array with destructors: how many elements it has. The last word of its block holds it.
std::size_t length_of(const char* block, std::size_t bytes) noexcept {
  return *reinterpret_cast<const std::size_t*>(block + bytes - sizeof(std::size_t));
}

/// f(slot) for each word of a block where its type declares an address.
template <class F>
void for_each_slot(const kind& k, char* start, std::size_t bytes, F f) noexcept {
  const std::size_t elements = k.is_array ? bytes / k.element : 1;
  for (std::size_t e = 0; e != elements; ++e)
    for (std::size_t s = 0; s != k.slot_count; ++s) f(reinterpret_cast<void**>(start + e * k.element + k.slots[s]));
}

/// Takes the addresses of dead objects out of one that is going to be destroyed.
void forget_dead(const ending& e) noexcept {
  for_each_slot(*e.of, e.object, e.bytes, [](void** slot) {
    const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(*slot));
    if (b && !b.is_marked()) __atomic_store_n(slot, nullptr, __ATOMIC_RELAXED);
  });
}

}  // namespace

endings& the_endings() noexcept {
  static immortal<endings> e;
  return e.value;
}

void ending::run() const noexcept {
  if (is_cleanup()) return f(argument);
  const std::size_t n = of->is_array ? length_of(object, bytes) : 1;
  for (std::size_t i = n; i-- != 0;) of->destroy(object + i * of->element);
}

// --- dead objects ---------------------------------------------------------------------------------------------------

void endings::find_dead_of(const kind& k, marker& m) noexcept {
  the_heap.for_each_span(k, [&](span& s) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    for (std::size_t w = 0; w != s.words(); ++w) {
      const std::uint64_t marks = s.marks()[w].load(std::memory_order_relaxed);
      std::uint64_t dead = s.constructed[w].load(std::memory_order_relaxed) & ~marks;
      for (; dead != 0; dead &= dead - 1) {
        char* const object = s.block_at(w * 64 + static_cast<std::size_t>(std::countr_zero(dead)));
        try {
          queue_.push_back({&k, object, s.block_bytes, nullptr, nullptr});
          s.constructed[w].fetch_and(~(dead & -dead), std::memory_order_relaxed);
        } catch (const std::bad_alloc&) {
          // It stays for another cycle; so does what it needs.
          m.visit(object);
        }
      }
    }
  });
}

void endings::find_dead_objects(std::size_t first, marker& m) noexcept {
  const auto is_declared = [](const kind& k) { return k.how != walk::conservative; };
  // Where addresses are not declared, none can be taken out: all that such an object reaches lives on.
  for (std::size_t i = first; i != queue_.size(); ++i)
    if (!is_declared(*queue_[i].of)) m.visit(queue_[i].object);
  m.drain();
  for (std::size_t i = first; i != queue_.size(); ++i)
    if (is_declared(*queue_[i].of)) forget_dead(queue_[i]);
  for (std::size_t i = first; i != queue_.size(); ++i) m.visit(queue_[i].object);
  m.drain();
}

void endings::find_dead_cleanups() noexcept {
  for (auto i = watched_.begin(); i != watched_.end();) {
    const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(i->second.object));
    if (!b || b.is_marked()) {
      ++i;
      continue;
    }
    try {
      queue_.push_back({b.of, nullptr, 0, i->second.f, i->second.argument});
    } catch (const std::bad_alloc&) {
      b.mark();  // for another cycle
      ++i;
      continue;
    }
    i = watched_.erase(i);
  }
}

void endings::find_dead(marker& m) noexcept {
  const thread_lock hold(lock_);
  find_dead_cleanups();
  const std::size_t first = queue_.size();
  for (std::size_t k = 1, n = the_kinds.count(); k != n; ++k)
    if (the_kinds[k].destroy != nullptr) find_dead_of(the_kinds[k], m);
  find_dead_objects(first, m);
  due_.store(queue_.size(), std::memory_order_relaxed);
}

void endings::visit_roots(marker& m) noexcept {
  const thread_lock hold(lock_);
  for (const ending& e : queue_) m.visit(e.object);
  m.visit(running_.object);
}

// --- cleanups -------------------------------------------------------------------------------------------------------

std::uint64_t endings::add_cleanup(const void* object, void (*f)(void*), void* argument) {
  const thread_lock hold(lock_);
  watched_.emplace(next_number_, watched{object, f, argument});
  return next_number_++;
}

bool endings::cancel_cleanup(std::uint64_t number) noexcept {
  const thread_lock hold(lock_);
  return watched_.erase(number) != 0;
}

// --- their turn -----------------------------------------------------------------------------------------------------

bool endings::run_one() noexcept {
  ending e;
  {
    const thread_lock hold(lock_);
    if (queue_.empty()) return false;
    running_ = e = queue_.front();
    queue_.pop_front();
    due_.store(queue_.size(), std::memory_order_relaxed);
  }
  // relaxed: only this fiber or thread finds itself in the word.
  runner_.store(heddle::detail::caller(), std::memory_order_relaxed);
  the_runner.note_this_thread();
  e.run();
  runner_.store(nullptr, std::memory_order_relaxed);
  forget_vectors();  // the thread of endings sleeps next
  const thread_lock hold(lock_);
  ++(e.is_cleanup() ? run_.cleanups_run : run_.destructors_run);
  ended_.store(run_.destructors_run + run_.cleanups_run, std::memory_order_relaxed);
  running_ = {};
  return true;
}

ending_counts endings::counts() noexcept {
  const thread_lock hold(lock_);
  ending_counts c = run_;
  for (const ending& e : queue_) ++(e.is_cleanup() ? c.cleanups_due : c.destructors_due);
  return c;
}

bool endings::runs_here() const noexcept { return runner_.load(std::memory_order_relaxed) == heddle::detail::caller(); }

bool endings::is_ending(const void* p) noexcept {
  const thread_lock hold(lock_);
  const char* const at = static_cast<const char*>(p);
  return running_.object != nullptr && running_.object <= at && at < running_.object + running_.bytes;
}

void endings::after_fork_in_child(bool goes_on) noexcept {
  the_runner.forget();
  runner_.store(goes_on ? heddle::detail::caller() : nullptr, std::memory_order_relaxed);
}

std::size_t endings::due() noexcept {
  const thread_lock hold(lock_);
  return queue_.size();
}

}  // namespace heddle::gc::detail
