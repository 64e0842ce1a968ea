// SPDX-License-Identifier: BSL-1.0
#include "pace/generations.hpp"

#include <algorithm>

namespace heddle::gc::detail {

generations::plan generations::after_whole(std::size_t room) noexcept {
  room_ = room;
  if (pause_ != 0) {
    --pause_;
    return {false, room};
  }
  return {true, tries_ ? room / 4 : room};
}

generations::plan generations::after_young(std::size_t allocated, std::size_t survived, std::size_t old,
                                           std::size_t left) noexcept {
  left = std::max(left, room_ / 16);
  const bool pays = survived <= allocated / 3 && survived <= old / 2;
  tries_ = !pays;
  if (pays) {
    next_pause_ = 1;
    return {left >= room_ / 2, left};
  }
  pause_ = next_pause_;
  next_pause_ = std::min(2 * next_pause_, longest_pause);
  --pause_;  // the one that follows counts
  return {false, left};
}

}  // namespace heddle::gc::detail
