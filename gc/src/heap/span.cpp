// SPDX-License-Identifier: BSL-1.0
#include "heap/span.hpp"

#include <algorithm>
#include <new>

#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;

constinit span_records the_span_records;

void* span_records::bump(std::size_t bytes) noexcept {
  bytes = (bytes + 63) / 64 * 64;
  if (bytes > left_) {
    at_ = static_cast<char*>(heddle::detail::collected_pages::make_tables(std::max(bytes, piece)));
    left_ = at_ == nullptr ? 0 : std::max(bytes, piece);
    if (at_ == nullptr) return nullptr;
  }
  left_ -= bytes;
  at_ += bytes;
  return at_ - bytes;
}

span* span_records::get(const kind& k) noexcept {
  const thread_lock hold(lock_);
  const std::size_t words = k.destroy == nullptr ? 0 : k.words_of_bits();
  span*& list = words == 0 ? unused_ : with_bits_[words];
  span* s = list;
  if (s != nullptr) {
    list = s->next;
  } else {
    void* const memory = bump(sizeof(span) + words * sizeof(bit_word));
    if (memory == nullptr) return nullptr;
    s = new (memory) span{};
    if (words != 0) s->constructed = reinterpret_cast<bit_word*>(s + 1);
  }
  bit_word* const bits = s->constructed;
  *s = span{};
  s->constructed = bits;
  for (std::size_t w = 0; w != words; ++w) new (&bits[w]) bit_word{0};
  return s;
}

void span_records::put(span& s) noexcept {
  const thread_lock hold(lock_);
  span*& list = s.constructed == nullptr ? unused_ : with_bits_[s.of->words_of_bits()];
  s.next = list;
  list = &s;
}

}  // namespace heddle::gc::detail
