// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/polled.hpp"

#include <cerrno>
#include <new>

#include "../scheduler.hpp"
#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/room.hpp"
#include "heddle/detail/trusted.hpp"
#include "poller.hpp"

namespace heddle::detail {

[[gnu::noinline]] int errno_here() noexcept {
  asm volatile("" ::: "memory");  // two calls need not give the same
  return errno;
}
[[gnu::noinline]] void set_errno_here(int error) noexcept {
  asm volatile("" ::: "memory");
  errno = error;
}

polled::polled(int fd) {
  heed_forks();
  on_home_stack([this, fd] {
    try {
      slot_ = &poller::instance().take_slot();
    } catch (...) {
      platform::close_descriptor(fd);
      throw;
    }
  });
  generation_ = slot_->open(fd);
}

bool polled::is_open() const noexcept { return slot_ != nullptr && slot_->is_open(generation_); }

int polled::descriptor() const noexcept { return is_open() ? slot_->fd() : -1; }

int polled::end(bool keep) noexcept {
  if (slot_ == nullptr) return -1;
  return with_room(waiting_room, [&] { return slot_->close(generation_, keep); });
}

void polled::close() noexcept { end(false); }
int polled::release() noexcept { return end(true); }

void polled::set_deadline(poll_side side, nanoseconds_t deadline) noexcept {
  with_room(waiting_room, [&] {
    if (const use held(*this); held) held.slot_->set_deadline(side, deadline);
  });
}

polled::use::use(const polled& d) noexcept {
  if (d.slot_ != nullptr && d.slot_->begin(d.generation_)) slot_ = d.slot_;
}
polled::use::~use() {
  if (slot_ != nullptr) slot_->end();
}

int polled::use::descriptor() const noexcept { return slot_->fd(); }

std::uint32_t polled::use::readiness(poll_side side) const noexcept {
  const std::uint32_t w = slot_->word(side);
  return (w & (poll_slot::ready | poll_slot::last)) != 0 ? w : 0;
}
void polled::use::succeeded(poll_side side) noexcept { slot_->succeeded(side); }
void polled::use::drained(poll_side side, std::uint32_t seen) noexcept { slot_->clear(side, seen, poll_slot::ready); }
void polled::use::blocked(poll_side side, std::uint32_t seen) noexcept {
  slot_->clear(side, seen, poll_slot::ready | poll_slot::last);
}
poll_outcome polled::use::wait(poll_side side, const wait_bounds& bounds) noexcept { return slot_->wait(side, bounds); }

}  // namespace heddle::detail
