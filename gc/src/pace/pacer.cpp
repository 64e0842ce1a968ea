// SPDX-License-Identifier: BSL-1.0
#include "pace/pacer.hpp"

#include <algorithm>

#include "heap/immortal.hpp"
#include "pace/options.hpp"

namespace heddle::gc::detail {

pacer& the_pacer() noexcept {
  static immortal<pacer> p(the_options());
  return p.value;
}

pacer::pacer(const options& o) noexcept : percent_(o.percent), limit_(o.limit) { end_marking(0); }

void pacer::end_marking(std::size_t live) noexcept {
  const std::size_t allocated = allocated_.load(std::memory_order_relaxed);
  const std::size_t during = allocated - std::min(allocated, at_begin_);
  const std::size_t wanted = percent();
  std::size_t room =
      wanted == 0
          ? std::size_t{1} << 46
          : std::max(floor, static_cast<std::size_t>(static_cast<double>(live) / 100 * static_cast<double>(wanted)));
  if (const std::size_t most = limit(); most != 0) {
    // Close to the limit there is a cycle for each sixteenth of it at most: so a program at its limit goes on.
    const std::size_t left = most > live ? most - live : 0;
    room = std::min(room, std::max(left, most / 16));
  }
  goal_.store(live + room, std::memory_order_relaxed);
  const std::size_t early = std::min(during + during / 4, room * 3 / 4);
  trigger_.store(std::max(room - early, room / 4), std::memory_order_relaxed);
  most_.store(room + room / 4, std::memory_order_relaxed);
  before_.fetch_add(allocated, std::memory_order_relaxed);
  allocated_.fetch_sub(allocated, std::memory_order_relaxed);
}

}  // namespace heddle::gc::detail
