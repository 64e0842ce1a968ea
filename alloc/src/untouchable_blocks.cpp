// SPDX-License-Identifier: BSL-1.0
#include "untouchable_blocks.hpp"

#include <bit>

#include "heddle/detail/size_class.hpp"
#include "misuse.hpp"
#include "os.hpp"

namespace heddle::detail {

constinit untouchable_blocks the_untouchable_blocks;

bool untouchable_blocks::add_part() noexcept {
  if (parts_ == most_parts) return false;
  constexpr std::size_t bytes = words_per_part * sizeof(std::uint64_t);
  auto* const used = static_cast<std::uint64_t*>(os::map(bytes, grain));
  if (used == nullptr) return false;
  auto* const base = static_cast<char*>(os::reserve_closed(per_part * grain));
  if (base == nullptr) {
    os::unmap(used, bytes);
    return false;
  }
  used_[parts_] = used;
  bases_[parts_++].store(base, std::memory_order_relaxed);
  return true;
}

void* untouchable_blocks::allocate() noexcept {
  const thread_lock hold(lock_);
  if (2 * in_use_ >= parts_ * per_part) add_part();
  const std::size_t words = parts_ * words_per_part;
  for (std::size_t i = 0; i != words; ++i, next_ = (next_ + 1) % words) {
    std::uint64_t& here = word(next_);
    if (here == ~std::uint64_t{0}) continue;
    const auto bit = static_cast<std::size_t>(std::countr_one(here));
    here |= std::uint64_t{1} << bit;
    ++in_use_;
    char* const base = bases_[next_ / words_per_part].load(std::memory_order_relaxed);
    void* const p = base + (next_ % words_per_part * 64 + bit) * grain;
    if (bit == 63) next_ = (next_ + 1) % words;
    return p;
  }
  return nullptr;
}

std::size_t untouchable_blocks::number_of(const void* p) const noexcept {
  for (std::size_t i = 0; i != most_parts; ++i) {
    const char* const base = bases_[i].load(std::memory_order_relaxed);
    if (base == nullptr) break;
    const std::size_t offset = reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(base);
    if (offset < per_part * grain) return i * per_part + offset / grain;
  }
  return none;
}

bool untouchable_blocks::contains(const void* p) noexcept { return number_of(p) != none; }

namespace {

[[noreturn]] void report(const void* p, const char* what) noexcept {
  misuse_outside(what, p, "no block of 0 bytes is there: it has been freed before, or was never allocated", nullptr, 0);
}

bool begins_one(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p) % grain == 0; }

}  // namespace

void untouchable_blocks::check(const void* p, const char* what) noexcept {
  const std::size_t n = number_of(p);
  bool used = false;
  if (n != none && begins_one(p)) {
    const thread_lock hold(lock_);
    used = (word(n / 64) >> n % 64 & 1) != 0;
  }
  if (!used) report(p, what);
}

void untouchable_blocks::deallocate(void* p, const char* what) noexcept {
  const std::size_t n = number_of(p);
  bool used = false;
  if (n != none && begins_one(p)) {
    const thread_lock hold(lock_);
    const std::uint64_t bit = std::uint64_t{1} << n % 64;
    used = (word(n / 64) & bit) != 0;
    word(n / 64) &= ~bit;
    in_use_ -= used;
  }
  if (!used) report(p, what);
}

}  // namespace heddle::detail
