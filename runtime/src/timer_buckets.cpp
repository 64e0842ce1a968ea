// SPDX-License-Identifier: BSL-1.0
#include "timer_buckets.hpp"

#include <utility>

namespace heddle::detail {

timer_buckets::~timer_buckets() {
  while (slabs_ != nullptr) delete std::exchange(slabs_, slabs_->next);
}

/// The array of the buckets, or more chunks. Not set to zero: of a slab only what is used is touched.
void timer_buckets::allocate() {
  if (heads_ == nullptr) heads_ = std::make_unique<chunk*[]>(buckets);
  slab* const s = new slab;
  s->next = slabs_;
  slabs_ = s;
  for (chunk& c : s->chunks) free(c);
}

void timer_buckets::add(timer_entry e) {
  if (free_ == nullptr) allocate();
  chunk*& head = bucket_of(e.deadline / width);
  if (head == nullptr || head->count == of_chunk) {
    chunk* const c = free_;
    free_ = c->next;
    c->next = head;
    c->count = 0;
    head = c;
  }
  put(head->entries[head->count++], e);
  ++size_;
}

/// The last of its bucket comes to its place.
void timer_buckets::remove(timer& t) noexcept {
  auto& place = *reinterpret_cast<timer_entry*>(t.index & ~in_bucket);
  chunk*& head = bucket_of(t.deadline / width);
  const timer_entry last = head->entries[--head->count];
  --size_;
  if (&head->entries[head->count] != &place) put(place, last);
  t.index = timer::absent;
  if (head->count == 0) {
    chunk* const c = head;
    head = c->next;
    free(*c);
  }
}

}  // namespace heddle::detail
