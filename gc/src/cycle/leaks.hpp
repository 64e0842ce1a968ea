// SPDX-License-Identifier: BSL-1.0
//
// Fibers that wait for ever: parked at an object that nothing reaches but the stacks of fibers that are parked so.
//
// A destructor that is due may wake such a fiber yet, one of an object that this same cycle finds dead. In the next
// cycle it is a root, or it has run. So a fiber counts when two cycles that looked, one after the other, have found it
// at the same object.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "heddle/detail/thread_mutex.hpp"
#include "roots/leak_look.hpp"

namespace heddle::gc::detail {

class collector;

/// A fiber that was found.
struct leak {
  std::uint64_t fiber = 0;
  std::string name;
  const void* place = nullptr;  ///< what it waits at: a member of a collected object
  const char* type = "";        ///< of that object
  std::array<void*, 24> frames{};
  std::size_t depth = 0;
  bool twice = false;  ///< the look before had found it, too: it is reported
};

/// The findings of the last look. The collector replaces it, any thread reads it.
class leak_list {
 public:
  constexpr leak_list() noexcept = default;

  /// Reports on stderr those that are there for the second time.
  void replace(std::vector<leak> found) noexcept;
  /// Whether another look would tell more.
  bool has_unsure() noexcept;
  /// Those that are reported. Throws std::bad_alloc.
  std::vector<leak> sure();
  /// In a child of a fork: none of the fibers is there.
  void after_fork_in_child() noexcept;

 private:
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::endings};
  std::vector<leak> found_ HEDDLE_GUARDED_BY(lock_);
};

leak_list& the_leaks() noexcept;

/// The look of one cycle.
class leak_search final : public leak_look {
 public:
  explicit leak_search(collector& c) noexcept : collector_(c) {}

  bool is_unreached(const void* place) noexcept override;
  void note_put_off(const heddle::detail::fiber& f, const void* place) noexcept override;
  void reach_all() noexcept override;
  void begin_last_pass() noexcept override { last_pass_ = true; }
  /// The cycle ends.
  void end() noexcept { the_leaks().replace(std::move(found_)); }

 private:
  collector& collector_;
  bool last_pass_ = false;
  std::vector<leak> found_;
};

}  // namespace heddle::gc::detail
