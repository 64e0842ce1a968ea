// SPDX-License-Identifier: BSL-1.0
//
// What a work queue is made of, apart from its locking: a hash table of keys, and a line of those that wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

namespace examples {

/// Entries, each found by its key, and some of them standing in a line.
///
/// An entry stays where it is from insert() to erase(), so it can be referred to by address; that spares a queue most
/// look-ups. Blocks of erased entries are used again and freed with the whole. Not thread-safe.
template <class Key, class Payload, class Hash>
class keyed_line {
 public:
  struct entry : Payload {
    std::optional<Key> key;  ///< nothing: the block is free
    std::size_t hash = 0;
    entry* next_in_bucket = nullptr;
    entry* next_in_line = nullptr;
  };

  bool line_empty() const noexcept { return first_ == nullptr; }
  std::size_t line_length() const noexcept { return length_; }

  void push(entry& e) noexcept {
    e.next_in_line = nullptr;
    (first_ != nullptr ? last_->next_in_line : first_) = &e;
    last_ = &e;
    ++length_;
  }
  /// The line must not be empty.
  entry& pop() noexcept {
    entry& e = *first_;
    first_ = e.next_in_line;
    --length_;
    return e;
  }

  /// The entry of a key, and whether it is new. O(1) but when the table grows. If something throws, nothing has
  /// changed.
  std::pair<entry&, bool> find_or_insert(const Key& key) {
    const std::size_t hash = hash_(key);
    if (!buckets_.empty())
      for (entry* e = buckets_[bucket_of(hash)]; e != nullptr; e = e->next_in_bucket)
        if (e->hash == hash && *e->key == key) return {*e, false};
    if (count_ == buckets_.size()) grow();
    entry& e = free_ != nullptr ? *free_ : blocks_.emplace_back();
    if (&e != free_) free_ = &e;  // until nothing can fail any more
    e.key.emplace(key);
    free_ = e.next_in_bucket;
    e.hash = hash;
    link(e);
    ++count_;
    return {e, true};
  }
  /// Of an entry that does not stand in the line.
  void erase(entry& e) noexcept {
    entry** at = &buckets_[bucket_of(e.hash)];
    while (*at != &e) at = &(*at)->next_in_bucket;
    *at = e.next_in_bucket;
    e.key.reset();
    e.next_in_bucket = free_;
    free_ = &e;
    --count_;
  }

  template <class F>
  void for_each(F f) const {
    for (const entry& e : blocks_)
      if (e.key) f(e);
  }

 private:
  /// The upper bits of a product: std::hash of a number is the number.
  std::size_t bucket_of(std::size_t hash) const noexcept { return (hash * 0x9E37'79B9'7F4A'7C15U) >> shift_; }
  void link(entry& e) noexcept {
    entry*& bucket = buckets_[bucket_of(e.hash)];
    e.next_in_bucket = bucket;
    bucket = &e;
  }
  void grow() {
    const bool first = buckets_.empty();
    std::vector<entry*> larger(first ? 16 : 2 * buckets_.size());
    buckets_.swap(larger);
    shift_ = first ? 60 : shift_ - 1;
    for (entry* e : larger)
      while (e != nullptr) {
        entry* const next = e->next_in_bucket;
        link(*e);
        e = next;
      }
  }

  [[no_unique_address]] Hash hash_;
  std::vector<entry*> buckets_;  // a power of two
  unsigned shift_ = 60;          // 64 - log2 of that
  std::size_t count_ = 0;
  std::deque<entry> blocks_;
  entry* free_ = nullptr;  // linked by next_in_bucket
  entry* first_ = nullptr;
  entry* last_ = nullptr;
  std::size_t length_ = 0;
};

}  // namespace examples
