// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "count/ledger.hpp"

namespace heddle::gc::detail {

/// The objects of one search, with the references to each that have not been met. While all threads are stopped.
class trial {
 public:
  trial() noexcept = default;
  ~trial();
  trial(const trial&) = delete;
  trial& operator=(const trial&) = delete;

  /// A candidate. False: no memory.
  bool admit(count_header& h) noexcept;
  /// Goes through all that candidates lead to, and then through all that lives. False: no memory.
  bool decide() noexcept;

  std::size_t visited() const noexcept { return count_; }
  std::size_t dead() const noexcept { return dead_; }
  /// f(count_header&, long references) for each object that is garbage.
  template <class F>
  void for_each_dead(F f) const noexcept {
    for (std::size_t i = 0; i != count_; ++i)
      if (!nodes_[i].lives) f(*nodes_[i].object, nodes_[i].references);
  }

 private:
  struct node {
    count_header* object;
    std::int32_t references;  // all of them
    std::int32_t outside;     // without those that have been met
    std::uint32_t next;       // that waits to be gone through: its index, plus 1
    bool lives;
  };
  static constexpr std::uint32_t none = 0xffff'ffff;

  std::uint32_t find_or_add(count_header& h) noexcept;
  bool grow_nodes() noexcept;
  bool grow_index() noexcept;
  std::uint32_t* place_of(const count_header* h) const noexcept;
  bool subtract_pointers_of(std::size_t i) noexcept;
  void spare(std::uint32_t i, std::uint32_t& waiting) noexcept;

  node* nodes_ = nullptr;
  std::size_t count_ = 0;
  std::size_t room_ = 0;
  std::uint32_t* index_ = nullptr;  // by address: the number of a node, plus 1; 0: none
  std::size_t index_room_ = 0;      // a power of two, twice the nodes at least
  std::size_t dead_ = 0;
};

}  // namespace heddle::gc::detail
