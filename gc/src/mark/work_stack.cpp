// SPDX-License-Identifier: BSL-1.0
#include "mark/work_stack.hpp"

#include <algorithm>

namespace heddle::gc::detail {

namespace collected_pages = heddle::detail::collected_pages;

bool work_stack::extend() noexcept {
  piece* p = spare_;
  if (p != nullptr)
    spare_ = p->below;
  else if ((p = static_cast<piece*>(collected_pages::make_tables(sizeof(piece)))) == nullptr)
    return false;
  p->below = top_;
  top_ = p;
  at_ = p->words;
  left_ = piece::capacity;
  return true;
}

/// The piece on top has become empty.
void work_stack::retreat() noexcept {
  piece* const p = top_;
  top_ = p->below;
  p->below = spare_;
  spare_ = p;
  at_ = top_ == nullptr ? nullptr : top_->words + piece::capacity;
  left_ = 0;
}

std::size_t work_stack::take_older_half(std::uint64_t* to, std::size_t n) noexcept {
  const auto words = static_cast<std::size_t>(at_ - top_->words);
  n = std::min(n, words / 2);
  std::copy_n(top_->words, n, to);
  at_ = std::copy(top_->words + n, at_, top_->words);
  left_ += n;
  return n;
}

void work_stack::trim() noexcept { shrink_to(kept_pieces); }

void work_stack::shrink_to(std::size_t pieces) noexcept {
  piece** link = &spare_;
  for (std::size_t kept = 0; kept != pieces && *link != nullptr; ++kept) link = &(*link)->below;
  while (*link != nullptr) {
    piece* const p = *link;
    *link = p->below;
    collected_pages::free_tables(p, sizeof(piece));
  }
}

}  // namespace heddle::gc::detail
