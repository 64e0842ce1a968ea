// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::detail {

/// An intrusive queue of blocked fibers and threads, first in first out. Nodes have `next` and `prev` and live
/// on the stacks of the blocked ones, so that blocking allocates nothing. Guarded by its owner's lock.
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
    }
    return node;
  }
  /// Takes all nodes out, linked by `next` in their order.
  Node* take_all() noexcept {
    Node* const all = first_;
    first_ = last_ = nullptr;
    return all;
  }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
};

}  // namespace heddle::detail
