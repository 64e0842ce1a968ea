// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::detail {

/// An intrusive queue of blocked fibers and threads, first in first out. Nodes have `next` and `prev` and live
/// on the stacks of the blocked ones, so that blocking allocates nothing. Guarded by its owner's lock.
///
/// A node that has been taken out points to itself, so that one whose wait has ended otherwise (bounded_wait.hpp) can
/// tell whether it must take itself out.
template <class Node>
class fifo {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  Node* front() const noexcept { return first_; }

  void push_back(Node& node) noexcept {
    node.next = nullptr;
    node.prev = last_;
    (last_ ? last_->next : first_) = &node;
    last_ = &node;
  }
  /// For one who has waited already and lost its turn to somebody faster.
  void push_front(Node& node) noexcept {
    node.prev = nullptr;
    node.next = first_;
    (first_ ? first_->prev : last_) = &node;
    first_ = &node;
  }
  /// Takes the first node out; nullptr if there is none.
  Node* pop_front() noexcept {
    Node* const node = first_;
    if (node) {
      first_ = node->next;
      (first_ ? first_->prev : last_) = nullptr;
      node->next = node;
    }
    return node;
  }
  /// Whether a node that was put in is still there.
  static bool linked(const Node& node) noexcept { return node.next != &node; }
  /// Takes a linked node out, wherever it stands.
  void erase(Node& node) noexcept {
    (node.prev ? node.prev->next : first_) = node.next;
    (node.next ? node.next->prev : last_) = node.prev;
    node.next = &node;
  }
  /// Takes the first node out that `claim` accepts, and all before it, whose waits have ended otherwise; nullptr if
  /// there is none.
  template <class Claim>
  Node* pop_claimed(Claim claim) noexcept {
    Node* node = pop_front();
    while (node && !claim(*node)) node = pop_front();
    return node;
  }
  Node* pop_claimed() noexcept {
    return pop_claimed([](Node& node) { return node.claim(); });
  }
  /// Takes all nodes out; those that `claim` accepts are returned, linked by `next` in their order.
  template <class Claim>
  Node* take_claimed(Claim claim) noexcept {
    Node* first = nullptr;
    for (Node** end = &first; Node* const node = pop_claimed(claim);) {
      node->next = nullptr;
      *end = node;
      end = &node->next;
    }
    return first;
  }
  Node* take_claimed() noexcept {
    return take_claimed([](Node& node) { return node.claim(); });
  }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
};

}  // namespace heddle::detail
