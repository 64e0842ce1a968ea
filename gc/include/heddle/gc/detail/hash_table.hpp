// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bit>
#include <cstddef>
#include <iterator>
#include <utility>

#include "heddle/gc/layout.hpp"
#include "heddle/gc/make.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc::detail {

template <class Item>
struct hash_node {
  template <class... Args>
  explicit hash_node(std::size_t hash_of, Args&&... args) : hash(hash_of), item(std::forward<Args>(args)...) {}

  ptr<hash_node> next;
  std::size_t hash;
  Item item;
};

/// Buckets of lists of collected nodes. What compares keys is given to each function.
///
/// Invariants:
/// 1. There are no buckets, or a power of two of them, and at least as many as nodes.
/// 2. A node is in the list of the bucket that its hash says, as long as it is in the table.
template <class Item>
class hash_table {
 public:
  using node = hash_node<Item>;

  /// Goes through the nodes of the buckets one after the other. The end is null.
  template <class Value>
  class iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    using pointer = Value*;
    using reference = Value&;

    iterator() noexcept = default;
    iterator(const hash_table* table, node* at) noexcept : table_(table), node_(at) {}
    operator iterator<const Value>() const noexcept { return {table_, node_}; }

    Value& operator*() const noexcept { return node_->item; }
    Value* operator->() const noexcept { return &node_->item; }
    iterator& operator++() noexcept {
      node_ = table_->behind(*node_);
      return *this;
    }
    iterator operator++(int) noexcept {
      const iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.node_ == b.node_; }

    const hash_table* table_ = nullptr;
    node* node_ = nullptr;
  };

  std::size_t size() const noexcept { return buckets_ == nullptr ? 0 : size_; }
  template <class Value>
  iterator<Value> first() const noexcept {
    return {this, first_from(0)};
  }
  template <class Value>
  iterator<Value> at(node* n) const noexcept {
    return {this, n};
  }

  template <class Matches>
  node* find(std::size_t hash, Matches matches) const {
    if (buckets_ == nullptr) return nullptr;
    node* n = bucket(hash);
    while (n != nullptr && !(n->hash == hash && matches(n->item))) n = n->next;
    return n;
  }
  /// A new node, made of the arguments. Throws what that throws, and std::bad_alloc; nothing has changed then.
  template <class... Args>
  node* add(std::size_t hash, Args&&... args) {
    const ptr<node> made = make<node>(hash, std::forward<Args>(args)...);
    reserve(size_ + 1);
    link(made);
    ++size_;
    return made;
  }
  std::size_t unlink(node& n) noexcept {
    ptr<node>* at = &bucket(n.hash);
    while (*at != &n) at = &(*at)->next;
    *at = n.next.get();
    --size_;
    return 1;
  }
  void clear() noexcept {
    buckets_ = nullptr;
    bucket_count_ = size_ = 0;
  }
  void reserve(std::size_t n) {
    if (n <= bucket_count_) return;
    const std::size_t wanted = std::bit_ceil(n < 8 ? 8 : n);
    ptr<ptr<node>[]> old = make_array<ptr<node>>(wanted);
    old.swap(buckets_);
    const std::size_t old_count = std::exchange(bucket_count_, wanted);
    for (std::size_t i = 0; i != old_count; ++i)
      for (ptr<node> each = old[i]; each != nullptr;) {
        const ptr<node> next = each->next;
        link(each);
        each = next;
      }
  }
  void swap(hash_table& other) noexcept {
    buckets_.swap(other.buckets_);
    std::swap(bucket_count_, other.bucket_count_);
    std::swap(size_, other.size_);
  }

 private:
  /// std::hash of a number is the number: the bits are mixed, and the upper ones name the bucket.
  std::size_t index(std::size_t hash) const noexcept {
    return (hash * 0x9E3779B97F4A7C15u) >> 32 & (bucket_count_ - 1);
  }
  ptr<node>& bucket(std::size_t hash) const noexcept { return buckets_[index(hash)]; }
  void link(const ptr<node>& n) noexcept {
    ptr<node>& at = bucket(n->hash);
    n->next = at;
    at = n;
  }
  node* first_from(std::size_t i) const noexcept {
    for (; i < bucket_count_ && buckets_ != nullptr; ++i)
      if (node* const n = buckets_[i]) return n;
    return nullptr;
  }
  node* behind(const node& n) const noexcept {
    node* const next = n.next;
    return next != nullptr ? next : first_from(index(n.hash) + 1);
  }

  ptr<ptr<node>[]> buckets_;
  std::size_t bucket_count_ = 0;
  std::size_t size_ = 0;
};

}  // namespace heddle::gc::detail

template <class Item>
struct heddle::gc::trace<heddle::gc::detail::hash_node<Item>> {
  using laid_out_as = heddle::gc::detail::types<heddle::gc::ptr<void>, std::size_t, Item>;
};
