// SPDX-License-Identifier: BSL-1.0
//
// What a work queue is made of, apart from its locking: a hash table of keys, and a line of those that wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace examples {

/// Entries, each found by its key, and some of them standing in a line.
///
/// An entry stays where it is from find_or_insert() to release(), so it can be referred to by address; that spares a
/// queue most look-ups. One that was released rests where it is, key and all, until its key comes again or another key
/// takes it over: keys come again and again, and so neither the table nor the key is written to, which on several
/// processors costs more than anything else here. Entries are at most twice as many, and one more, as were in use at
/// one time. Not thread-safe.
template <class Key, class Payload, class Hash>
class keyed_line {
 public:
  struct entry : Payload {
    std::optional<Key> key;  ///< nothing: it is in no bucket, and rests
    bool rests = true;       ///< released
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

  /// The entry of a key, and whether it is new or has been released. O(1) but when the table grows, and when most of
  /// the entries that rest lie together. If something throws, nothing has changed.
  std::pair<entry&, bool> find_or_insert(const Key& key) {
    const std::size_t hash = hash_(key);
    entry* e = find(key, hash);
    if (e != nullptr && !e->rests) return {*e, false};
    if (e == nullptr) e = &insert(key, hash);
    e->rests = false;
    --resting_;
    return {*e, true};
  }
  /// Of an entry that does not stand in the line.
  void release(entry& e) noexcept {
    e.rests = true;
    ++resting_;
  }

  /// Calls f for each that is in use.
  template <class F>
  void for_each(F f) const {
    for (const entry& e : entries_)
      if (!e.rests) f(e);
  }

 private:
  /// The upper bits of a product: std::hash of a number is the number.
  std::size_t bucket_of(std::size_t hash) const noexcept { return (hash * 0x9E37'79B9'7F4A'7C15U) >> shift_; }
  entry* find(const Key& key, std::size_t hash) const {
    if (buckets_.empty()) return nullptr;
    entry* e = buckets_[bucket_of(hash)];
    while (e != nullptr && !(e->hash == hash && *e->key == key)) e = e->next_in_bucket;
    return e;
  }
  /// An entry that rests, in a new place or in that of another key.
  entry& insert(const Key& key, std::size_t hash) {
    std::optional<Key> copy(key);
    if (entries_.size() == buckets_.size()) grow();
    entry& e = 2 * resting_ > entries_.size() ? next_resting() : enlarge();
    if (e.key) unlink(e);
    e.key.reset();
    e.key.emplace(std::move(*copy));
    e.hash = hash;
    link(e);
    return e;
  }
  entry& enlarge() {
    entry& e = entries_.emplace_back();
    ++resting_;
    return e;
  }
  /// Goes round, so that who was released long ago is taken before who was released just now.
  entry& next_resting() noexcept {
    for (;;) {
      if (++hand_ >= entries_.size()) hand_ = 0;
      if (entries_[hand_].rests) return entries_[hand_];
    }
  }
  void link(entry& e) noexcept {
    entry*& bucket = buckets_[bucket_of(e.hash)];
    e.next_in_bucket = bucket;
    bucket = &e;
  }
  void unlink(entry& e) noexcept {
    entry** at = &buckets_[bucket_of(e.hash)];
    while (*at != &e) at = &(*at)->next_in_bucket;
    *at = e.next_in_bucket;
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
  std::deque<entry> entries_;
  std::size_t resting_ = 0;
  std::size_t hand_ = 0;  // the last that was taken over
  entry* first_ = nullptr;
  entry* last_ = nullptr;
  std::size_t length_ = 0;
};

}  // namespace examples
