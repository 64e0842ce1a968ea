// SPDX-License-Identifier: BSL-1.0
#include "span_records.hpp"

#include <new>

#include "address_map.hpp"
#include "os.hpp"

namespace heddle::detail {

namespace {

constexpr std::size_t step_bytes = std::size_t{64} << 10;
constexpr std::size_t step = step_bytes / sizeof(span);
constexpr std::size_t most = std::size_t{1} << 32;  // numbers that fit into the table of a window

}  // namespace

bool span_records::begin() noexcept {
  constexpr unsigned tries = 8;
  if (runs_used_ != 0) return true;
  for (unsigned i = 0; i != tries; ++i) {
    the_map.begin();
    const os::map_result result = os::map_at(the_map.spans, step_bytes);
    if (result == os::map_result::taken) continue;
    if (result == os::map_result::no_memory) return false;
    runs_used_ = 1;
    mapped_ = step;
    bytes_ = step_bytes;
    return make() != nullptr;
  }
  return false;
}

/// The last run has no number with memory left: maps a step more, behind any mapping that is in the way.
bool span_records::map_more() noexcept {
  std::size_t gap = 0;
  for (std::size_t first = mapped_; first + step <= most; first = mapped_ + gap) {
    if (gap != 0 && runs_used_ == most_runs) return false;
    const os::map_result result = os::map_at(the_map.spans + first, step_bytes);
    if (result == os::map_result::no_memory) return false;
    if (result == os::map_result::mapped) {
      if (gap != 0) runs_[runs_used_++] = {first, first};
      mapped_ = first + step;
      bytes_ += step_bytes;
      return true;
    }
    gap = gap == 0 ? step : 2 * gap;
  }
  return false;
}

span* span_records::make() noexcept {
  if (span* const s = free_; s != nullptr) {
    free_ = s->next;
    return s;
  }
  if (runs_[runs_used_ - 1].last == mapped_ && !map_more()) return nullptr;
  return new (&the_map.spans[runs_[runs_used_ - 1].last++]) span{};
}

}  // namespace heddle::detail
