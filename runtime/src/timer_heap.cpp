// SPDX-License-Identifier: BSL-1.0
#include "timer_heap.hpp"

#include <algorithm>
#include <memory>
#include <new>

namespace heddle::detail {

namespace {
constexpr std::align_val_t line{64};
}  // namespace

timer_heap::heap_array::~heap_array() {
  if (memory_ != nullptr) ::operator delete(memory_, line);
}

void timer_heap::heap_array::push_back(entry e) {
  if (size_ == room_) {
    const std::size_t room = room_ == 0 ? 13 : 2 * room_ + before_first;
    auto* const memory = static_cast<entry*>(::operator new((room + before_first) * sizeof(entry), line));
    std::uninitialized_copy_n(first_, size_, memory + before_first);
    if (memory_ != nullptr) ::operator delete(memory_, line);
    memory_ = memory;
    first_ = memory + before_first;
    room_ = room;
  }
  ::new (first_ + size_++) entry(e);
}

/// Whether t is put into a bucket.
bool timer_heap::goes_ahead(const timer& t) noexcept {
  if (heap_.size() < many) return false;
  if (ahead_.empty()) ahead_.begin_behind(heap_.front().deadline);
  return ahead_.takes(t.deadline);
}

void timer_heap::add(timer& t) noexcept {
  const thread_lock hold(lock_);
  t.heap = this;
  if (goes_ahead(t)) return ahead_.add(entry(t));
  heap_.push_back(entry(t));
  if (sift_up(heap_.size() - 1) == 0) publish();
}

bool timer_heap::remove(timer& t) noexcept {
  const thread_lock hold(lock_);
  if (t.index == timer::absent) return false;
  if (timer_buckets::holds(t)) {
    ahead_.remove(t);
    return true;
  }
  const bool first = t.index == 0;
  take_out(t.index);
  if (first) publish();
  return true;
}

std::size_t timer_heap::expire(nanoseconds_t now, entry* due, std::size_t n) noexcept {
  const thread_lock hold(lock_);
  std::size_t found = 0;
  bool taken = false;
  while (found != n && !heap_.empty() && heap_.front().deadline <= now) {
    const entry e = heap_.front();
    take_out(0);
    taken = true;
    // Under the lock, which remove() needs: until then the timer is there even if its wait has ended otherwise.
    if (e.is_sleep() || e.get().state == nullptr || end_wait(*e.get().state, wait_state::timed_out)) due[found++] = e;
  }
  if (taken) publish();
  return found;
}

nanoseconds_t timer_heap::last_sleep() noexcept {
  const thread_lock hold(lock_);
  nanoseconds_t last = 0;
  const auto look = [&last](const entry& e) {
    if (e.is_sleep() && e.deadline != no_deadline) last = std::max(last, e.deadline);
    return false;
  };
  std::for_each(heap_.begin(), heap_.end(), look);
  ahead_.any_of(look);
  return last;
}

bool timer_heap::has_sleepers() noexcept {
  const thread_lock hold(lock_);
  const auto sleeps = [](const entry& e) { return e.is_sleep() || e.get().fire == nullptr; };
  return std::any_of(heap_.begin(), heap_.end(), sleeps) || ahead_.any_of(sleeps);
}

void timer_heap::take_out(std::size_t i) noexcept {
  if (!heap_[i].is_sleep()) heap_[i].get().index = timer::absent;
  const entry last = heap_.back();
  heap_.pop_back();
  if (i != heap_.size()) {
    heap_[i] = last;
    sift_up(sift_down(i));
  }
  while (!ahead_.empty() && (heap_.empty() || !ahead_.comes_first(heap_.front().deadline)))
    ahead_.take_first([this](const entry& e) HEDDLE_NO_THREAD_SAFETY_ANALYSIS { push(e); });
}

/// Where it has come to.
std::size_t timer_heap::sift_up(std::size_t i) noexcept {
  const entry e = heap_[i];
  while (i != 0) {
    const std::size_t parent = (i - 1) / arity;
    if (heap_[parent].deadline <= e.deadline) break;
    place(i, heap_[parent]);
    i = parent;
  }
  place(i, e);
  return i;
}

std::size_t timer_heap::sift_down(std::size_t i) noexcept {
  const entry e = heap_[i];
  for (;;) {
    std::size_t least = i * arity + 1;
    if (least >= heap_.size()) break;
    const std::size_t end = std::min(least + arity, heap_.size());
    // The lines among which the next step chooses: in a large heap each would be waited for.
    for (std::size_t child = least; child != end; ++child)
      __builtin_prefetch(&heap_[0] + std::min(child * arity + 1, heap_.size()));
    for (std::size_t child = least + 1; child < end; ++child)
      if (heap_[child].deadline < heap_[least].deadline) least = child;
    if (heap_[least].deadline >= e.deadline) break;
    place(i, heap_[least]);
    i = least;
  }
  place(i, e);
  return i;
}

}  // namespace heddle::detail
