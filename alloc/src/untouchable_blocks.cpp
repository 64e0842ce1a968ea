// SPDX-License-Identifier: BSL-1.0
#include "untouchable_blocks.hpp"

#include <bit>

#include "misuse.hpp"
#include "os.hpp"
#include "size_class.hpp"

namespace heddle::detail {

constinit untouchable_blocks the_untouchable_blocks;

bool untouchable_blocks::reserve() noexcept {
  used_ = static_cast<std::uint64_t*>(os::map(words * sizeof(std::uint64_t), grain));
  if (used_ == nullptr) return false;
  auto* const base = static_cast<char*>(os::reserve_closed(most * grain));
  if (base == nullptr) {
    os::unmap(used_, words * sizeof(std::uint64_t));
    used_ = nullptr;
    return false;
  }
  base_.store(base, std::memory_order_relaxed);
  return true;
}

void* untouchable_blocks::allocate() noexcept {
  const thread_lock hold(lock_);
  if (used_ == nullptr && !reserve()) return nullptr;
  for (std::size_t i = 0; i != words; ++i, next_ = (next_ + 1) % words) {
    std::uint64_t& word = used_[next_];
    if (word == ~std::uint64_t{0}) continue;
    const auto bit = static_cast<std::size_t>(std::countr_one(word));
    word |= std::uint64_t{1} << bit;
    void* const p = base_.load(std::memory_order_relaxed) + (next_ * 64 + bit) * grain;
    if (bit == 63) next_ = (next_ + 1) % words;
    return p;
  }
  return nullptr;
}

bool untouchable_blocks::contains(const void* p) noexcept {
  const char* const base = base_.load(std::memory_order_relaxed);
  return base != nullptr && reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(base) < most * grain;
}

std::size_t untouchable_blocks::number_of(const void* p) const noexcept {
  const std::size_t offset =
      reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(base_.load(std::memory_order_relaxed));
  return offset % grain == 0 ? offset / grain : most;
}

void untouchable_blocks::check(const void* p, const char* what) noexcept {
  const std::size_t n = number_of(p);
  bool used = false;
  if (n != most) {
    const thread_lock hold(lock_);
    used = (used_[n / 64] >> n % 64 & 1) != 0;
  }
  if (!used)
    misuse_outside(what, p, "no block of 0 bytes is there: it has been freed before, or was never allocated", nullptr,
                   0);
}

void untouchable_blocks::deallocate(void* p, const char* what) noexcept {
  const std::size_t n = number_of(p);
  bool used = false;
  if (n != most) {
    const thread_lock hold(lock_);
    used = (used_[n / 64] >> n % 64 & 1) != 0;
    used_[n / 64] &= ~(std::uint64_t{1} << n % 64);
  }
  if (!used)
    misuse_outside(what, p, "no block of 0 bytes is there: it has been freed before, or was never allocated", nullptr,
                   0);
}

}  // namespace heddle::detail
