// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "heddle/gc/detail/core.hpp"
#include "heddle/gc/layout.hpp"
#include "heddle/gc/make.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

/// Says something more of objects that others own: from an object, by its address, to another object. An entry keeps
/// neither its key nor, by itself, its value: the value lives while the key lives and the map can be reached, or for
/// another reason.
///
///     gc::ephemeron_map<request, annotations> notes;
///     notes.insert_or_assign(r, gc::make<annotations>("slow"));
///     if (auto a = notes.find(r)) print(a->text);
///     // r dies: the entry is gone, and the annotations with it, even if they point back to r
///
/// With a map of gc::weak keys and gc::ptr values, a value that points back to its key would keep the entry for ever;
/// here it does not. That also holds for entries of which one's value is another's key.
///
/// Keys are compared by address: an object and its first member are one key if their addresses are. An entry whose key
/// has died is not found, counted or visited any more; its own few words are freed when the map next changes near it or
/// grows. It may be where a gc::ptr may be (see there); a copy would be shallow, so there is none; moving leaves it
/// empty.
///
/// As with std::unordered_map, functions that are const may be called by several threads at a time, the others exclude
/// all else. The collector may find keys dead at any moment. find(), insert_or_assign(), erase(): O(1) on average.
/// Source: B. Hayes, Ephemerons, OOPSLA 1997.
template <class K, class V>
class ephemeron_map {
 public:
  constexpr ephemeron_map() noexcept = default;
  ephemeron_map(const ephemeron_map&) = delete;
  ephemeron_map& operator=(const ephemeron_map&) = delete;
  constexpr ~ephemeron_map() = default;
  ephemeron_map(ephemeron_map&& other) noexcept { swap(other); }
  ephemeron_map& operator=(ephemeron_map&& other) noexcept {
    ephemeron_map moved(std::move(other));
    swap(moved);
    return *this;
  }

  /// The value of the key; null if there is none.
  [[nodiscard]] ptr<V> find(const K* key) const noexcept {
    const node* const found = look_up(key);
    return found == nullptr ? nullptr : static_cast<V*>(detail::value_of(*found->cell));
  }
  [[nodiscard]] bool contains(const K* key) const noexcept { return look_up(key) != nullptr; }

  /// Gives the key a value, instead of the one that it may have. True: it had none. key: into a collected object, not
  /// null. Throws std::bad_alloc, and has changed nothing then.
  bool insert_or_assign(K* key, const ptr<V>& value) {
    if (node* const known = look_up(key)) {
      detail::set_value(*known->cell, address(value.get()));
      return false;
    }
    const ptr<detail::ephemeron_cell> cell = detail::make_ephemeron(address(key), address(value.get()));
    if (nodes_ == bucket_count_) rehash();
    drop_dead(bucket(key));
    link(make<node>(nullptr, cell), key);
    return true;
  }
  /// False: the key has no value.
  bool erase(const K* key) noexcept {
    if (buckets_ == nullptr) return false;
    for (ptr<node>* at = &bucket(key); *at != nullptr; at = &(*at)->next) {
      if (detail::key_of(*(*at)->cell) != address(key)) continue;
      unlink(*at);
      return true;
    }
    return false;
  }
  void clear() noexcept {
    buckets_ = nullptr;
    bucket_count_ = nodes_ = 0;
  }

  /// How many keys live, or have not been found dead. O(n).
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t count = 0;
    for_each([&](K*, const ptr<V>&) { ++count; });
    return count;
  }
  /// Calls f(key, value) for each entry, in no order. f may change values, and what it likes elsewhere, but not the
  /// map's keys. O(n).
  template <std::invocable<K*, const ptr<V>&> F>
  void for_each(F f) const {
    for (std::size_t i = 0; i != bucket_count_ && buckets_ != nullptr; ++i)
      for (const node* n = buckets_[i]; n != nullptr; n = n->next) {
        // The key first: while it is on this stack, the value stays.
        K* const key = static_cast<K*>(detail::key_of(*n->cell));
        if (key != nullptr) f(key, ptr<V>(static_cast<V*>(detail::value_of(*n->cell))));
      }
  }

  void swap(ephemeron_map& other) noexcept {
    buckets_.swap(other.buckets_);
    std::swap(bucket_count_, other.bucket_count_);
    std::swap(nodes_, other.nodes_);
  }
  friend void swap(ephemeron_map& a, ephemeron_map& b) noexcept { a.swap(b); }

 private:
  struct node {
    ptr<node> next;
    ptr<detail::ephemeron_cell> cell;
  };

  static void* address(const volatile void* p) noexcept { return const_cast<void*>(p); }
  /// Objects do not move, so an address is a name. The low four bits are those of all objects.
  ptr<node>& bucket(const void* key) const noexcept {
    const auto mixed = (reinterpret_cast<std::uintptr_t>(key) >> 4) * 0x9E3779B97F4A7C15u;
    return buckets_[(mixed >> 32) & (bucket_count_ - 1)];
  }
  node* look_up(const K* key) const noexcept {
    if (buckets_ == nullptr || key == nullptr) return nullptr;
    node* n = bucket(key);
    while (n != nullptr && detail::key_of(*n->cell) != address(key)) n = n->next;
    return n;
  }
  void link(const ptr<node>& n, const void* key) noexcept {
    ptr<node>& first = bucket(key);
    n->next = first;
    first = n;
    ++nodes_;
  }
  void unlink(ptr<node>& at) noexcept {
    at = ptr<node>(at->next);
    --nodes_;
  }
  void drop_dead(ptr<node>& first) noexcept {
    for (ptr<node>* at = &first; *at != nullptr;) {
      if (detail::key_of(*(*at)->cell) == nullptr)
        unlink(*at);
      else
        at = &(*at)->next;
    }
  }
  /// Room for twice the entries that live.
  void rehash() {
    std::size_t wanted = 8;
    while (wanted < 2 * size()) wanted *= 2;
    ptr<ptr<node>[]> old = make_array<ptr<node>>(wanted);
    old.swap(buckets_);
    const std::size_t old_count = std::exchange(bucket_count_, wanted);
    nodes_ = 0;
    for (std::size_t i = 0; i != old_count; ++i)
      for (ptr<node> n = old[i]; n != nullptr;) {
        const ptr<node> next = n->next;
        if (const void* const key = detail::key_of(*n->cell)) link(n, key);
        n = next;
      }
  }

  ptr<ptr<node>[]> buckets_;
  std::size_t bucket_count_ = 0;  ///< 0 or a power of two
  std::size_t nodes_ = 0;         ///< the dead ones, too
};

template <class K, class V>
struct trace<ephemeron_map<K, V>> {
  using laid_out_as = detail::types<ptr<void>, std::size_t, std::size_t>;
  static constexpr bool silent = true;
};

}  // namespace heddle::gc
