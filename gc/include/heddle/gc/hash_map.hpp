// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/hash_table.hpp"
#include "heddle/gc/layout.hpp"

namespace heddle::gc {

/// std::unordered_map whose entries are in memory of the collector: keys and values may be gc::ptr, and hold such.
///
///     gc::hash_map<gc::string, gc::ptr<session>> sessions;
///     sessions["a"] = gc::make<session>();
///     if (auto found = sessions.find("a"); found != sessions.end()) found->second->touch();
///
/// It may be where a gc::ptr may be (see there): in collected objects, on stacks, in globals; not in memory of malloc.
/// Functions that are not described here do what std's do, with its exceptions, guarantees and complexities. Hash and
/// Equal have no state. Keys of type gc::ptr are compared by address.
///
/// Unlike std::unordered_map:
/// - an entry is a collected object. References to it and iterators stay usable after it has been erased: they keep it.
///   An iterator to an erased entry must not be advanced;
/// - the destructors of an erased entry's key and value run when the collector has found it dead, if at all; a value
/// that
///   is to be given up at once is assigned to first;
/// - erase() gives no iterator back; there are no allocators and no functions for single buckets.
///
/// In the destructor of an object that the collector has found dead it may be empty: the entries have died, too.
///
/// From fibers and plain threads; of several at a time all must only read.
template <class K, class V, class Hash = std::hash<K>, class Equal = std::equal_to<K>>
class hash_map {
  using table = detail::hash_table<std::pair<const K, V>>;
  using node = typename table::node;

 public:
  using key_type = K;
  using mapped_type = V;
  using value_type = std::pair<const K, V>;
  using size_type = std::size_t;
  using iterator = typename table::template iterator<value_type>;
  using const_iterator = typename table::template iterator<const value_type>;

  constexpr hash_map() noexcept = default;
  hash_map(std::initializer_list<value_type> entries) {
    for (const value_type& entry : entries) insert(entry);
  }
  hash_map(const hash_map& other) {
    reserve(other.size());
    for (const value_type& entry : other) insert(entry);
  }
  hash_map(hash_map&& other) noexcept { swap(other); }
  constexpr ~hash_map() = default;
  hash_map& operator=(const hash_map& other) { return replace(hash_map(other)); }
  hash_map& operator=(hash_map&& other) noexcept { return replace(hash_map(std::move(other))); }

  iterator begin() noexcept { return table_.template first<value_type>(); }
  iterator end() noexcept { return {}; }
  const_iterator begin() const noexcept { return table_.template first<const value_type>(); }
  const_iterator end() const noexcept { return {}; }

  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  size_type size() const noexcept { return table_.size(); }
  /// Room for n entries without a growth.
  void reserve(size_type n) { table_.reserve(n); }

  iterator find(const K& key) { return table_.template at<value_type>(look_up(key)); }
  const_iterator find(const K& key) const { return table_.template at<const value_type>(look_up(key)); }
  bool contains(const K& key) const { return look_up(key) != nullptr; }
  V& at(const K& key) { return existing(key).item.second; }
  const V& at(const K& key) const { return existing(key).item.second; }
  V& operator[](const K& key) { return try_emplace(key).first->second; }
  V& operator[](K&& key) { return try_emplace(std::move(key)).first->second; }

  std::pair<iterator, bool> insert(const value_type& entry) { return try_emplace(entry.first, entry.second); }
  std::pair<iterator, bool> insert(value_type&& entry) { return try_emplace(entry.first, std::move(entry.second)); }
  /// Makes a value of the arguments for the key, if it has none.
  template <class... Args>
  std::pair<iterator, bool> try_emplace(const K& key, Args&&... args) {
    return emplace_with(key, std::forward<Args>(args)...);
  }
  template <class... Args>
  std::pair<iterator, bool> try_emplace(K&& key, Args&&... args) {
    return emplace_with(std::move(key), std::forward<Args>(args)...);
  }
  template <class Value>
  std::pair<iterator, bool> insert_or_assign(const K& key, Value&& value) {
    const auto entry = try_emplace(key, std::forward<Value>(value));  // moves from `value` only if it makes one of it
    if (!entry.second) entry.first->second = std::forward<Value>(value);
    return entry;
  }

  /// How many there were: 0 or 1.
  size_type erase(const K& key) {
    node* const found = look_up(key);
    return found == nullptr ? 0 : table_.unlink(*found);
  }
  void erase(iterator at) noexcept { table_.unlink(*at.node_); }
  void clear() noexcept { table_.clear(); }

  void swap(hash_map& other) noexcept { table_.swap(other.table_); }
  friend void swap(hash_map& a, hash_map& b) noexcept { a.swap(b); }
  friend bool operator==(const hash_map& a, const hash_map& b) {
    if (a.size() != b.size()) return false;
    for (const value_type& entry : a) {
      const node* const same = b.look_up(entry.first);
      if (same == nullptr || !(same->item.second == entry.second)) return false;
    }
    return true;
  }

 private:
  hash_map& replace(hash_map with) noexcept {
    swap(with);
    return *this;
  }
  node* look_up(const K& key) const {
    return table_.find(Hash()(key), [&](const value_type& item) { return Equal()(item.first, key); });
  }
  node& existing(const K& key) const {
    node* const found = look_up(key);
    if (found == nullptr) throw std::out_of_range("heddle::gc::hash_map::at: no such key");
    return *found;
  }
  template <class Key, class... Args>
  std::pair<iterator, bool> emplace_with(Key&& key, Args&&... args) {
    const std::size_t hash = Hash()(key);
    node* found = table_.find(hash, [&](const value_type& item) { return Equal()(item.first, key); });
    const bool is_new = found == nullptr;
    if (is_new)
      found = table_.add(hash, std::piecewise_construct, std::forward_as_tuple(std::forward<Key>(key)),
                         std::forward_as_tuple(std::forward<Args>(args)...));
    return {table_.template at<value_type>(found), is_new};
  }

  table table_;
};

template <class K, class V, class Hash, class Equal>
struct trace<hash_map<K, V, Hash, Equal>> {
  using laid_out_as = detail::types<ptr<void>, std::size_t, std::size_t>;
  static constexpr bool silent = true;
};

}  // namespace heddle::gc
