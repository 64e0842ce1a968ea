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

pacer::pacer(const options& o) noexcept : percent_(o.percent), limit_(o.limit) { end_marking(); }

std::size_t pacer::room_after(std::size_t live) const noexcept {
  const std::size_t wanted = percent();
  const std::size_t found = marked_.load(std::memory_order_relaxed);
  std::size_t room =
      wanted == 0
          ? std::size_t{1} << 46
          : std::max(floor, static_cast<std::size_t>(static_cast<double>(found) / 100 * static_cast<double>(wanted)));
  if (const std::size_t most = limit(); most != 0) {
    // Close to the limit there is a cycle for each sixteenth of it at most: so a program at its limit goes on.
    const std::size_t left = most > live ? most - live : 0;
    room = std::min(room, std::max(left, most / 16));
  }
  return room;
}

/// By what the last cycle has taken. Without one, or if nothing was allocated: a quarter.
std::size_t pacer::runway(std::size_t room) const noexcept {
  const std::size_t allocated = allocated_.load(std::memory_order_relaxed);
  const std::size_t took = took_.load(std::memory_order_relaxed);
  if (allocated == 0 || took == 0) return room / 4;
  const double bytes_each_ns = static_cast<double>(allocated) / static_cast<double>(took);
  const double wanted = bytes_each_ns * static_cast<double>(mark_took_.load(std::memory_order_relaxed)) / 2;
  const double most = static_cast<double>(room) * 3 / 4;
  return std::max(static_cast<std::size_t>(std::min(wanted, most)), room / 16);
}

void pacer::begin_cycle() noexcept {
  const std::size_t allocated = allocated_.load(std::memory_order_relaxed);
  const std::size_t most = most_.load(std::memory_order_relaxed);
  // The collector needs help only shortly before allocation would wait, if it has a processor for itself.
  const std::size_t room = heddle::detail::processors_busy() ? most / 5 * 4 : most;
  began_at_.store(allocated, std::memory_order_relaxed);
  runway_.store(room > allocated ? std::max(room - allocated, room / 16) : room / 16, std::memory_order_relaxed);
  // As much as in the last cycle, and at first a quarter of what there is.
  expected_.store(std::max(marked_.load(std::memory_order_relaxed), allocated / 4), std::memory_order_relaxed);
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

void pacer::end_marking() noexcept {
  const std::size_t during = allocated_.load(std::memory_order_relaxed) - began_at_.load(std::memory_order_relaxed);
  const std::size_t live = marked_.load(std::memory_order_relaxed) + during;
  const std::size_t room = room_after(live);
  goal_.store(live + room, std::memory_order_relaxed);
  trigger_.store(room - runway(room), std::memory_order_relaxed);
  most_.store(room + room / 4, std::memory_order_relaxed);
  const std::size_t allocated = allocated_.load(std::memory_order_relaxed);
  before_.fetch_add(allocated, std::memory_order_relaxed);
  allocated_.fetch_sub(allocated, std::memory_order_relaxed);
  took_.store(0, std::memory_order_relaxed);
}

}  // namespace heddle::gc::detail
