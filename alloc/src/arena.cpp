// SPDX-License-Identifier: BSL-1.0
#include "heddle/arena.hpp"

#include <algorithm>

#include "heddle/alloc.hpp"
#include "heddle/detail/trusted.hpp"

namespace heddle::alloc {

arena::arena(std::size_t first_block) noexcept : next_bytes_(std::clamp(first_block, least_block, largest_block)) {}

arena::block* arena::take(std::size_t bytes) {
  bytes = good_size(bytes);
  auto* const b = static_cast<block*>(alloc::allocate(bytes));
  b->bytes = bytes;
  held_ += bytes;
  return b;
}

void arena::give(block* b) noexcept {
  held_ -= b->bytes;
  alloc::deallocate(b, b->bytes);  // and not that of the base, which is nothing here
}

void* arena::allocate_slow(std::size_t bytes, std::size_t alignment) {
  static_assert(sizeof(block) % 16 == 0);
  constexpr std::size_t absurd = std::size_t{1} << 46;
  if (bytes >= absurd || alignment >= absurd) throw std::bad_alloc();
  const std::size_t needed = sizeof(block) + bytes + (alignment > 16 ? alignment - 16 : 0);
  if (needed > next_bytes_ / 2) {
    // Behind the current one, in which there is still room for others.
    block* const b = take(needed);
    block** const link = current_ != nullptr ? &current_->next : &current_;
    b->next = *link;
    *link = b;
    const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(b + 1) + alignment - 1;
    return reinterpret_cast<void*>(at & ~(alignment - 1));
  }
  block* const b = take(next_bytes_);
  b->next = current_;
  current_ = b;
  begin_ = reinterpret_cast<char*>(b + 1);
  end_ = reinterpret_cast<char*>(b) + b->bytes;
  next_bytes_ = std::min(2 * next_bytes_, largest_block);
  return allocate(bytes, alignment);
}

void arena::reset() noexcept {
  if (begin_ == nullptr) return release();  // there is but what had blocks of their own
  for (block* b = std::exchange(current_->next, nullptr); b != nullptr;) give(std::exchange(b, b->next));
  end_ = reinterpret_cast<char*>(current_) + current_->bytes;
}

void arena::release() noexcept {
  for (block* b = std::exchange(current_, nullptr); b != nullptr;) give(std::exchange(b, b->next));
  begin_ = end_ = nullptr;
}

}  // namespace heddle::alloc
