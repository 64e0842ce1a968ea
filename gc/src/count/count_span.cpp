// SPDX-License-Identifier: BSL-1.0
#include "count/count_span.hpp"

#include <new>

#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {
namespace {

namespace collected_pages = heddle::detail::collected_pages;
using heddle::detail::lock_rank;
using heddle::detail::thread_lock;
using heddle::detail::thread_mutex;

/// Records without spans.
class records {
 public:
  constexpr records() noexcept = default;

  count_span* get() noexcept {
    const thread_lock hold(lock_);
    if (count_span* const s = unused_; s != nullptr) {
      unused_ = s->next_listed;
      return s;
    }
    if (left_ == 0) {
      constexpr std::size_t at_once = (std::size_t{256} << 10) / sizeof(count_span);
      at_ = static_cast<count_span*>(collected_pages::make_tables(at_once * sizeof(count_span)));
      left_ = at_ == nullptr ? 0 : at_once;
      if (at_ == nullptr) return nullptr;
    }
    --left_;
    return at_++;
  }
  void put(count_span& s) noexcept {
    const thread_lock hold(lock_);
    s.next_listed = unused_;
    unused_ = &s;
  }
  /// s has pages from now on.
  void list(count_span& s) noexcept {
    const thread_lock hold(lock_);
    s.next_of_kind = in_use_;
    if (in_use_ != nullptr) in_use_->previous_of_kind = &s;
    in_use_ = &s;
  }
  void unlist(const count_span& s) noexcept {
    const thread_lock hold(lock_);
    (s.previous_of_kind != nullptr ? s.previous_of_kind->next_of_kind : in_use_) = s.next_of_kind;
    if (s.next_of_kind != nullptr) s.next_of_kind->previous_of_kind = s.previous_of_kind;
  }
  const span* first() noexcept {
    const thread_lock hold(lock_);
    return in_use_;
  }

 private:
  thread_mutex lock_{lock_rank::pool};
  count_span* unused_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  span* in_use_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  count_span* at_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::size_t left_ HEDDLE_GUARDED_BY(lock_) = 0;
};

constinit records the_records;
constinit atomic<std::size_t> in_spans{0};

}  // namespace

count_span* make_count_span(const kind& k, std::size_t pages) noexcept {
  count_span* const s = the_records.get();
  if (s == nullptr) return nullptr;
  bool zeroed = false;
  void* at = nullptr;
  // One whose bits would be in two regions is left alone, as in heap::make().
  do at = collected_pages::make(k.klass, pages, true, zeroed);
  while (at != nullptr && !k.is_large() && !region_table::fits(at, pages));
  new (s) count_span{};
  s->of = &k;
  s->start = static_cast<char*>(at);
  s->pages = static_cast<std::uint32_t>(pages);
  s->capacity = k.capacity;
  s->block_bytes = k.is_large() ? pages << page_shift : k.size;
  s->zeroed = zeroed;
  if (at == nullptr || !the_regions.add(*s)) {
    if (at != nullptr) collected_pages::free(at);
    the_records.put(*s);
    return nullptr;
  }
  in_spans.fetch_add(s->bytes(), std::memory_order_relaxed);
  the_records.list(*s);
  return s;
}

void free_count_span(count_span& s) noexcept {
  in_spans.fetch_sub(s.bytes(), std::memory_order_relaxed);
  the_records.unlist(s);
  the_regions.remove(s);
  collected_pages::free(s.start);
  the_records.put(s);
}

std::size_t bytes_in_count_spans() noexcept { return in_spans.load(std::memory_order_relaxed); }
const count_span* first_count_span() noexcept { return static_cast<const count_span*>(the_records.first()); }

}  // namespace heddle::gc::detail
