// SPDX-License-Identifier: BSL-1.0
#include "timer_heap.hpp"

#include <algorithm>

namespace heddle::detail {

void timer_heap::add(timer& t) noexcept {
  const thread_lock hold(lock_);
  heap_.push_back(&t);
  t.heap = this;
  t.index = heap_.size() - 1;
  sift_up(t.index);
  if (t.index == 0) publish();
}

bool timer_heap::remove(timer& t) noexcept {
  const thread_lock hold(lock_);
  if (t.index == timer::absent) return false;
  const bool first = t.index == 0;
  take_out(t.index);
  if (first) publish();
  return true;
}

timer* timer_heap::expire(nanoseconds_t now) noexcept {
  const thread_lock hold(lock_);
  timer* due = nullptr;
  const std::size_t before = heap_.size();
  while (due == nullptr && !heap_.empty() && heap_.front()->deadline <= now) {
    timer* const t = heap_.front();
    take_out(0);
    // Under the lock, which remove() needs: until then the timer is there even if its wait has ended otherwise.
    if (t->state == nullptr || end_wait(*t->state, wait_state::timed_out)) due = t;
  }
  if (heap_.size() != before) publish();
  return due;
}

nanoseconds_t timer_heap::last_sleep() noexcept {
  const thread_lock hold(lock_);
  nanoseconds_t last = 0;
  for (const timer* t : heap_)
    if (t->state == nullptr && t->deadline != no_deadline) last = std::max(last, t->deadline);
  return last;
}

void timer_heap::take_out(std::size_t i) noexcept {
  heap_[i]->index = timer::absent;
  timer* last = heap_.back();
  heap_.pop_back();
  if (i == heap_.size()) return;
  place(i, last);
  sift_down(i);
  sift_up(last->index);
}

void timer_heap::sift_up(std::size_t i) noexcept {
  timer* t = heap_[i];
  while (i != 0) {
    const std::size_t parent = (i - 1) / arity;
    if (heap_[parent]->deadline <= t->deadline) break;
    place(i, heap_[parent]);
    i = parent;
  }
  place(i, t);
}

void timer_heap::sift_down(std::size_t i) noexcept {
  timer* t = heap_[i];
  for (;;) {
    std::size_t least = i * arity + 1;
    if (least >= heap_.size()) break;
    const std::size_t end = least + arity < heap_.size() ? least + arity : heap_.size();
    for (std::size_t child = least + 1; child < end; ++child)
      if (heap_[child]->deadline < heap_[least]->deadline) least = child;
    if (heap_[least]->deadline >= t->deadline) break;
    place(i, heap_[least]);
    i = least;
  }
  place(i, t);
}

}  // namespace heddle::detail
