// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace heddle::gc::detail {

/// Whether the next cycle is to be a young one, and how much may be allocated before it is over. By the collector only.
///
/// A young cycle pays if little of what is new has survived. All that has, is old from then on, dead or not, until a
/// whole cycle. Let R be what may be allocated between whole cycles. A whole cycle marks about as much as R; a young
/// one the part s of what has been allocated since the cycle before. It leaves less room for the next one. When half of
/// R is used up by what has survived, a whole cycle follows. So for R / 2s bytes there are marked R / 2 in young cycles
/// and R in a whole one: 3s for each, where whole cycles alone mark 1. That is less if s is below a third. Where it is
/// more, whole cycles follow, and after 1, 2, 4 ... 16 of them a young one is tried again. A trial comes when a quarter
/// of the room is used; so does the very first young cycle.
class generations {
 public:
  struct plan {
    bool is_young;
    std::size_t room;
  };

  /// After a whole cycle that leaves so much room: R.
  plan after_whole(std::size_t room) noexcept;
  /// After a young one. Of `allocated` bytes that were new at its begin it has found `survived` alive; whole cycles
  /// find `old`. `left`: of R.
  plan after_young(std::size_t allocated, std::size_t survived, std::size_t old, std::size_t left) noexcept;

 private:
  static constexpr unsigned longest_pause = 16;

  std::size_t room_ = 0;
  unsigned pause_ = 0;       // whole cycles until a young one is tried
  unsigned next_pause_ = 1;  // if that fails
  bool tries_ = true;        // none has been, or the last one has failed
};

}  // namespace heddle::gc::detail
