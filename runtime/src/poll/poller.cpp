// SPDX-License-Identifier: BSL-1.0
#include "poller.hpp"

#include <bit>
#include <cerrno>
#include <new>
#include <utility>

namespace heddle::detail {

poller& poller::instance() noexcept {
  // In static memory and never destroyed: descriptors are closed by destructors of static objects, too.
  alignas(poller) static unsigned char space[sizeof(poller)];
  static poller* const made = ::new (space) poller;
  return *made;
}

// --- slots ----------------------------------------------------------------------------------------------------------

std::uint32_t poller::beginning_of(std::size_t block) noexcept { return first_block * ((1u << block) - 1); }

poll_slot* poller::slot_at(std::uint32_t index) const noexcept {
  // acquire: so that the slot is seen as built; release half in build_slot().
  if (index >= built_.load(std::memory_order_acquire)) return nullptr;
  const auto block = static_cast<std::size_t>(std::bit_width(index / first_block + 1) - 1);
  return blocks_[block].load(std::memory_order_relaxed) + (index - beginning_of(block));
}

poll_slot& poller::take_slot() {
  const thread_lock hold(lock_);
  if (free_ == nullptr) build_slot();
  poll_slot& s = *free_;
  free_ = std::exchange(s.next_free, &s);
  return s;
}

/// One at a time, so that a large block takes the memory of the slots that have ever been needed, and no more.
void poller::build_slot() {
  const std::uint32_t index = built_.load(std::memory_order_relaxed);
  const auto block = static_cast<std::size_t>(std::bit_width(index / first_block + 1) - 1);
  if (block >= blocks) throw std::bad_alloc();
  poll_slot* slots = blocks_[block].load(std::memory_order_relaxed);
  if (slots == nullptr) {
    const std::uint32_t n = first_block << block;
    slots = static_cast<poll_slot*>(::operator new(n * sizeof(poll_slot), std::align_val_t(alignof(poll_slot))));
    blocks_[block].store(slots, std::memory_order_relaxed);
  }
  free_ = ::new (slots + index - beginning_of(block)) poll_slot(index);
  // release: so that the slot and its block are seen; acquire half in slot_at() and for_each_slot().
  built_.store(index + 1, std::memory_order_release);
}

void poller::put_slot(poll_slot& s) noexcept {
  const thread_lock hold(lock_);
  s.next_free = free_;
  free_ = &s;
}

template <class F>
void poller::for_each_slot(F f) noexcept {
  const std::uint32_t built = built_.load(std::memory_order_acquire);  // acquire: as in slot_at()
  for (std::uint32_t i = 0; i != built && f(*slot_at(i)); ++i) {
  }
}

bool poller::awaited() noexcept {
  bool found = false;
  for_each_slot([&found](const poll_slot& s) { return !(found = s.awaited()); });
  return found;
}

void poller::forget_runtime() noexcept {
  last_look_.store(0, std::memory_order_relaxed);
  fetches_.store(0, std::memory_order_relaxed);
  events_fetched_.store(0, std::memory_order_relaxed);
  for_each_slot([](poll_slot& s) {
    s.forget_alarms();
    return true;
  });
}

// --- events ---------------------------------------------------------------------------------------------------------

int poller::watch(int fd, std::uint64_t tag) noexcept {
  const thread_lock hold(lock_);
  if (!open_) {
    if (const int error = queue_.open(); error != 0) return error;
    open_ = true;
  }
  const int error = queue_.add(fd, tag);
  // release: so that whoever polls sees the queue as it was opened; acquire half in in_use(). The relaxed subtraction
  // in unwatch() does not come between them: it reads and writes at once.
  if (error == 0)
    watched_.fetch_add(1,
                       HEDDLE_PLANTED(poller_opened_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
  return error;
}

void poller::unwatch(int fd) noexcept {
  queue_.remove(fd);
  watched_.fetch_sub(1, std::memory_order_relaxed);
}

int poller::fetch(nanoseconds_t deadline, int n) noexcept {
  fetched_ = queue_.wait(events_.data(), n < most ? n : most, deadline);
  last_look_.store(platform::now(), std::memory_order_relaxed);
  const auto add = [](atomic<std::size_t>& sum, int more) {
    sum.store(sum.load(std::memory_order_relaxed) + static_cast<std::size_t>(more), std::memory_order_relaxed);
  };
  add(fetches_, 1);
  add(events_fetched_, fetched_);
  return fetched_;
}

void poller::count(statistics& n) const noexcept {
  n.descriptors = watched_.load(std::memory_order_relaxed);
  n.polls = fetches_.load(std::memory_order_relaxed);
  n.events = events_fetched_.load(std::memory_order_relaxed);
}

void poller::deliver(scheduler& sched, machine* m) noexcept {
  for (int i = 0, n = fetched_; i != n; ++i) {
    const platform::event& e = events_[static_cast<std::size_t>(i)];
    const std::uint64_t tag = e.data.u64;
    if (i + 1 != fetched_)  // connections that have rested are far from the processor
      if (const poll_slot* const next =
              slot_at(static_cast<std::uint32_t>(events_[static_cast<std::size_t>(i) + 1].data.u64 >> 32)))
        next->prefetch();
    if (poll_slot* const s = slot_at(static_cast<std::uint32_t>(tag >> 32)))
      s->notify(static_cast<std::uint32_t>(tag), e.events, sched, m);
  }
  fetched_ = 0;
}

void poller::after_fork_in_child() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  if (open_) queue_.close();
  open_ = false;
  watched_.store(0, std::memory_order_relaxed);
  token_.store(0, std::memory_order_relaxed);
  std::uint32_t next = era_.load(std::memory_order_relaxed) + 1;
  era_.store(next != 0 ? next : 1, std::memory_order_relaxed);
  fetches_.store(0, std::memory_order_relaxed);
  events_fetched_.store(0, std::memory_order_relaxed);
  for_each_slot([this](poll_slot& s) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    s.forget_others();
    if (s.end_as_left()) {
      s.next_free = free_;
      free_ = &s;
    }
    return true;
  });
  after_fork();
}

}  // namespace heddle::detail
