// SPDX-License-Identifier: BSL-1.0
//
// How reports learn what a parked fiber waits for. The runtime knows no primitive; each one says, beside its source,
// how its waits are to be described.
#pragma once

#include <array>
#include <cstddef>

#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

/// The words of a report about one parked fiber, which the primitive writes. Text that does not fit is cut off.
class HEDDLE_EXPORT wait_text {
 public:
  explicit wait_text(const fiber& who) noexcept : who_(&who) {}
  wait_text(const wait_text&) = delete;
  wait_text& operator=(const wait_text&) = delete;

  /// Appends, as std::printf() would print it.
  [[gnu::format(printf, 2, 3)]] void say(const char* format, ...) noexcept;
  /// Appends who that is: a fiber by its number and name, or a plain thread; as caller() has named them.
  void say_caller(const void* caller) noexcept;
  const char* text() const noexcept { return text_.data(); }

  /// The node in the queue by which the fiber waits; waiter_of(node) is its waiter. Null: none, or too far back.
  template <class Node, class F>
  const Node* find(const fifo<Node>& queue, F waiter_of) const noexcept {
    std::size_t n = 0;
    for (const Node* node = queue.front(); node != nullptr && n != longest_look; node = node->next, ++n)
      if (waiter_of(*node).is_of(*who_)) return node;
    return nullptr;
  }
  const waiter* find(const fifo<waiter>& queue) const noexcept {
    return find(queue, [](const waiter& w) -> const waiter& { return w; });
  }

 private:
  static constexpr std::size_t longest_look = 10'000;

  const fiber* who_;
  std::size_t size_ = 0;
  std::array<char, 512> text_{};
};

/// Says how waits that are committed by one function are described. A constant beside that function, which must have
/// one address in the process: it stands in a source file, not in a header.
///
/// 1. Constructed and destroyed under the loader's lock, as all static objects; read when no fiber runs.
/// 2. describe(argument, text) gets the argument with which the fiber has parked, and may read what its primitive's
/// lock
///    guards, without the lock.
/// 3. holder(argument), where it is known: the one who alone can end the wait, as caller() names it, or null.
class HEDDLE_EXPORT wait_description {
 public:
  using commit_function = void (*)(void*);
  using describe_function = void (*)(void* argument, wait_text& to);
  using holder_function = const void* (*)(void* argument);

  explicit wait_description(commit_function of, describe_function d, holder_function h = nullptr) noexcept;
  ~wait_description();
  wait_description(const wait_description&) = delete;
  wait_description& operator=(const wait_description&) = delete;

  /// That of the waits committed by this function, or null. O(descriptions).
  static const wait_description* of(commit_function commit) noexcept;

  const describe_function describe;
  const holder_function holder;

 private:
  const commit_function commit_;
  wait_description* next_;
};

/// For waits that have nothing to commit, since their deadline or a stop request alone can end them.
HEDDLE_EXPORT void commit_nothing(void*) noexcept;

}  // namespace heddle::detail
