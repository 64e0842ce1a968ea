// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"

namespace heddle::detail {

/// A list of objects of the program, which any thread enters and leaves at any time, and which a collector goes through
/// now and then. A Node has `Node* next, *previous`, which are the list's, and is made without arguments.
///
/// Invariants, under the lock of a shard:
/// 1. A node is in the list of the shard that its address says, between add() and remove().
/// 2. `previous` of the first node and `next` of the last one are null.
/// 3. for_each() has a node of its own in the list while it lets go of the lock.
///
/// Objects that one thread makes lie close together, so nearby addresses have the same shard: the neighbours in the
/// list are then warm in the cache, and two threads seldom meet.
template <class Node>
class sharded_list {
 public:
  constexpr sharded_list() noexcept = default;
  sharded_list(const sharded_list&) = delete;
  sharded_list& operator=(const sharded_list&) = delete;

  /// O(1), about 12 ns. From any thread. Not in a signal's handler, which may have interrupted one of these functions.
  void add(Node& n) noexcept {
    shard& s = shard_of(n);
    const thread_lock hold(s.lock);
    link_before(s, n, s.first);
  }
  void remove(Node& n) noexcept {
    shard& s = shard_of(n);
    const thread_lock hold(s.lock);
    unlink(s, n);
  }

  /// f(Node&) for each node that is in the list all the time; for one that comes or goes meanwhile, or not. f returns
  /// how much work that was; when there has been as much as `most`, 1 or more, others get the lock. f runs under it:
  /// the node does not leave meanwhile, and f calls no function of the list.
  template <class F>
  void for_each(std::size_t most, F f) noexcept {
    for (shard& s : shards_) {
      Node place{};
      for (bool more = begin(s, place); more;) more = go_on(s, place, most, f);
    }
  }

  /// Around a fork, so that the child finds the list whole.
  void lock_all() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    for (shard& s : shards_) s.lock.lock();
  }
  void unlock_all() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    for (shard& s : shards_) s.lock.unlock();
  }

 private:
  static constexpr unsigned shard_bits = 6;
  struct alignas(64) shard {
    thread_mutex lock{lock_rank::lists};
    Node* first HEDDLE_GUARDED_BY(lock) = nullptr;
  };

  shard& shard_of(const Node& n) noexcept {
    constexpr std::uint64_t golden = 0x9E37'79B9'7F4A'7C15;  // spreads the number of the page
    return shards_[(reinterpret_cast<std::uintptr_t>(&n) >> 12) * golden >> (64 - shard_bits)];
  }

  static void link_before(shard& s, Node& n, Node* other) noexcept HEDDLE_REQUIRES(s.lock) {
    n.next = other;
    n.previous = other == s.first ? nullptr : other->previous;
    (n.previous != nullptr ? n.previous->next : s.first) = &n;
    if (other != nullptr) other->previous = &n;
  }
  static void unlink(shard& s, Node& n) noexcept HEDDLE_REQUIRES(s.lock) {
    (n.previous != nullptr ? n.previous->next : s.first) = n.next;
    if (n.next != nullptr) n.next->previous = n.previous;
  }

  static bool begin(shard& s, Node& place) noexcept {
    const thread_lock hold(s.lock);
    if (s.first == nullptr) return false;
    link_before(s, place, s.first);
    return true;
  }
  /// Goes on behind `place`, and leaves it further on in the list; false: at the end, and it is out of the list.
  template <class F>
  static bool go_on(shard& s, Node& place, std::size_t most, F& f) noexcept {
    const thread_lock hold(s.lock);
    Node* at = place.next;
    unlink(s, place);
    for (std::size_t work = 0; at != nullptr; at = at->next) {
      if (work >= most) {
        link_before(s, place, at);
        return true;
      }
      work += f(*at);
    }
    return false;
  }

  std::array<shard, std::size_t{1} << shard_bits> shards_;
};

}  // namespace heddle::detail
