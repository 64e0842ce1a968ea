// SPDX-License-Identifier: BSL-1.0
#include "work_area.hpp"

#include <atomic>
#include <cstring>

namespace examples::http {
namespace {

/// Areas that nobody uses, each in a place of its own, so that taking one is one exchange. More are freed.
class pool {
 public:
  ~pool() { clear(); }
  void clear() noexcept {
    while (work_area* const area = take()) delete area;
  }
  work_area* take() noexcept {
    for (auto& place : places_) {
      if (place.load(std::memory_order_relaxed) == nullptr) continue;
      // acquire: so that we see what its last user has written, who releases it in give().
      if (work_area* const area = place.exchange(nullptr, std::memory_order_acquire)) return area;
    }
    return nullptr;
  }
  bool give(work_area* area) noexcept {
    for (auto& place : places_) {
      work_area* nothing = nullptr;
      if (place.load(std::memory_order_relaxed) != nullptr) continue;
      // release: so that its next user, who acquires it in take(), sees what we have written.
      if (place.compare_exchange_strong(nothing, area, std::memory_order_release, std::memory_order_relaxed))
        return true;
    }
    return false;
  }

 private:
  std::array<std::atomic<work_area*>, 64> places_{};
};

pool rested;

}  // namespace

std::span<std::byte> input_window::room() noexcept {
  if (end_ == capacity && begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return {buffer_.data() + end_, capacity - end_};
}

std::unique_ptr<work_area> work_area::take() {
  if (work_area* const area = rested.take()) return std::unique_ptr<work_area>(area);
  return std::unique_ptr<work_area>(new work_area);  // not make_unique, which would zero its buffers
}

void work_area::give_back(std::unique_ptr<work_area> area) noexcept {
  area->input.clear();  // the next connection must not see what this one has sent
  area->memory.release();
  if (rested.give(area.get())) static_cast<void>(area.release());
}

void work_area::free_rested() noexcept { rested.clear(); }

}  // namespace examples::http
