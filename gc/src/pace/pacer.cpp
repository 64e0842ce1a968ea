// SPDX-License-Identifier: BSL-1.0
#include "pace/pacer.hpp"

#include <algorithm>

#include "heap/immortal.hpp"
#include "heddle/detail/wait.hpp"
#include "pace/options.hpp"

namespace heddle::gc::detail {

pacer& the_pacer() noexcept {
  static immortal<pacer> p(the_options());
  return p.value;
}

pacer::pacer(const options& o) noexcept : percent_(o.percent), limit_(o.limit) { end_marking(false); }

/// Between whole cycles.
std::size_t pacer::room_by_percent() const noexcept {
  const std::size_t wanted = percent();
  if (wanted == 0) return std::size_t{1} << 46;
  return std::max(floor, static_cast<std::size_t>(static_cast<double>(old_) / 100 * static_cast<double>(wanted)));
}

/// Of the room between whole cycles, without what young ones have made old.
std::size_t pacer::left_of_room() const noexcept {
  const std::size_t room = room_by_percent();
  return room > promoted_ ? room - promoted_ : 0;
}

std::size_t pacer::within_limit(std::size_t room, std::size_t live) const noexcept {
  const std::size_t most = limit();
  if (most == 0) return room;
  // Close to the limit there is a cycle for each sixteenth of it at most: so a program at its limit goes on.
  const std::size_t left = most > live ? most - live : 0;
  return std::min(room, std::max(left, most / 16));
}

/// By what the last cycle of the kind has taken. Without one, or if nothing was allocated: a quarter.
std::size_t pacer::runway(std::size_t room) const noexcept {
  const std::size_t allocated = allocated_.load(std::memory_order_relaxed);
  const std::size_t took = took_.load(std::memory_order_relaxed);
  if (allocated == 0 || took == 0) return room / 4;
  const double bytes_each_ns = static_cast<double>(allocated) / static_cast<double>(took);
  const double marking = static_cast<double>((next_is_young_ ? last_young_ : last_whole_).took);
  const double most = static_cast<double>(room) * 3 / 4;
  return std::max(static_cast<std::size_t>(std::min(bytes_each_ns * marking / 2, most)), room / 16);
}

void pacer::begin_cycle(bool young) noexcept {
  is_young_ = young;
  const std::size_t allocated = allocated_.load(std::memory_order_relaxed);
  new_ += allocated;
  const std::size_t most = most_.load(std::memory_order_relaxed);
  // The collector needs help only shortly before allocation would wait, if it has a processor for itself.
  const std::size_t room = heddle::detail::processors_busy() ? most / 5 * 4 : most;
  began_at_.store(allocated, std::memory_order_relaxed);
  runway_.store(room > allocated ? std::max(room - allocated, room / 16) : room / 16, std::memory_order_relaxed);
  // As much as in the last cycle of the kind, and at first a quarter of what there is.
  const std::size_t expected =
      young ? std::max(last_young_.marked, allocated / 16) : std::max(last_whole_.marked, allocated / 4);
  expected_.store(expected, std::memory_order_relaxed);
  marked_.store(0, std::memory_order_relaxed);
  mark_took_.store(0, std::memory_order_relaxed);
  trigger_.store(~std::size_t{0}, std::memory_order_relaxed);  // this cycle is the one that was due
}

std::size_t pacer::behind() const noexcept {
  const std::size_t since = allocated_.load(std::memory_order_relaxed) - began_at_.load(std::memory_order_relaxed);
  const std::size_t runway = runway_.load(std::memory_order_relaxed);
  if (since >= runway) return ~std::size_t{0};
  const double part = static_cast<double>(since) / static_cast<double>(runway);
  const auto due = static_cast<std::size_t>(static_cast<double>(expected_.load(std::memory_order_relaxed)) * part);
  const std::size_t marked = marked_.load(std::memory_order_relaxed);
  return due > marked ? due - marked : 0;
}

/// The room until the next cycle, and whether that is young.
std::size_t pacer::plan_next(std::size_t marked, bool generational) noexcept {
  const std::size_t room = room_by_percent();
  next_is_young_ = false;
  if (!generational) return room;
  const generations::plan next =
      is_young_ ? generations_.after_young(new_, marked, old_, left_of_room()) : generations_.after_whole(room);
  next_is_young_ = next.is_young;
  return next.room;
}

void pacer::end_marking(bool generational) noexcept {
  const std::size_t allocated = allocated_.load(std::memory_order_relaxed);
  const std::size_t during = allocated - began_at_.load(std::memory_order_relaxed);
  const std::size_t marked = marked_.load(std::memory_order_relaxed);
  (is_young_ ? last_young_ : last_whole_) = {marked, mark_took_.load(std::memory_order_relaxed)};
  if (is_young_) {
    promoted_ += marked;
    promoted_in_all_.fetch_add(marked, std::memory_order_relaxed);
  } else {
    old_ = marked;
    promoted_ = 0;
  }
  const std::size_t live = old_ + promoted_ + during;
  std::size_t room = plan_next(marked, generational);
  std::size_t most = next_is_young_ ? std::max(room, left_of_room()) : room;
  // Objects made during the cycle are new in the next one.
  const auto without_new = [&](std::size_t of) {
    return within_limit(generational ? std::max(of > during ? of - during : 0, of / 4) : of, live);
  };
  room = without_new(room);
  most = without_new(most);
  new_ = during;
  goal_.store(live + room, std::memory_order_relaxed);
  trigger_.store(room - runway(room), std::memory_order_relaxed);
  most_.store(most + most / 4, std::memory_order_relaxed);
  before_.fetch_add(allocated, std::memory_order_relaxed);
  allocated_.fetch_sub(allocated, std::memory_order_relaxed);
  took_.store(0, std::memory_order_relaxed);
}

}  // namespace heddle::gc::detail
