// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <mutex>

#include "heddle/gc.hpp"
#include "heddle/mutex.hpp"

namespace examples {

/// Keeps the values that were asked for last, up to so many, for any number of fibers.
///
///     auto pages = gc::make<examples::lru_cache<gc::string, page>>(1000);
///     gc::ptr<page> p = pages->get(url, [&] { return gc::make<page>(download(url)); });
///
/// A value that is pushed out lives on while somebody uses it, and for no longer: no reference count, no copy under the
/// lock. Values that are still in use are found again for nothing, although the cache has forgotten them: `forgotten_`
/// refers to them weakly.
///
/// It has gc::ptr members: so it is a collected object itself, a global, or on a stack.
/// get(): O(1) on average, and a make() that runs outside of the lock; two fibers may then make the same value, and
/// both are given the one that was entered first.
template <class Key, class Value, class Hash = std::hash<Key>>
class lru_cache {
 public:
  explicit lru_cache(std::size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

  /// The value of the key; what make() returns if there is none.
  template <std::invocable<> Make>
  heddle::gc::ptr<Value> get(const Key& key, const Make& make) {
    if (const heddle::gc::ptr<Value> known = find(key)) return known;
    const heddle::gc::ptr<Value> made = make();
    const std::lock_guard lock(mutex_);
    if (const heddle::gc::ptr<Value> meanwhile = find_locked(key)) return meanwhile;
    enter(key, made);
    return made;
  }
  /// Null if there is none.
  heddle::gc::ptr<Value> find(const Key& key) {
    const std::lock_guard lock(mutex_);
    return find_locked(key);
  }
  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  struct entry {
    heddle::gc::ptr<entry> newer, older;
    heddle::gc::ptr<Value> value;
    Key key;
  };

  heddle::gc::ptr<Value> find_locked(const Key& key) {
    if (const auto known = entries_.find(key); known != entries_.end()) {
      unlink(*known->second);
      link(*known->second);
      return known->second->value;
    }
    const auto forgotten = forgotten_.find(key);
    if (forgotten == forgotten_.end()) return nullptr;
    const heddle::gc::ptr<Value> in_use = forgotten->second.lock();
    forgotten_.erase(key);
    if (in_use != nullptr) enter(key, in_use);
    return in_use;
  }
  void enter(const Key& key, const heddle::gc::ptr<Value>& value) {
    const heddle::gc::ptr<entry> e = heddle::gc::make<entry>(nullptr, nullptr, value, key);
    entries_[key] = e;
    link(*e);
    if (entries_.size() > capacity_) push_out(*oldest_);
  }
  void push_out(entry& e) {
    // As many are remembered as are kept; most of them are dead.
    if (forgotten_.size() >= capacity_) forgotten_.clear();
    forgotten_.insert_or_assign(e.key, heddle::gc::weak<Value>(e.value));
    unlink(e);
    entries_.erase(e.key);
  }
  void link(entry& e) {
    e.older = newest_;
    e.newer = nullptr;
    (newest_ != nullptr ? newest_->newer : oldest_) = &e;
    newest_ = &e;
  }
  void unlink(entry& e) {
    (e.newer != nullptr ? e.newer->older : newest_) = e.older;
    (e.older != nullptr ? e.older->newer : oldest_) = e.newer;
  }

  heddle::mutex mutex_;
  std::size_t capacity_;
  heddle::gc::hash_map<Key, heddle::gc::ptr<entry>, Hash> entries_;
  heddle::gc::hash_map<Key, heddle::gc::weak<Value>, Hash> forgotten_;
  heddle::gc::ptr<entry> newest_, oldest_;
};

}  // namespace examples
