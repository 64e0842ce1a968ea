// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "barrier/mutators.hpp"
#include "mark/marker.hpp"

namespace heddle::gc::detail {

/// A collected object that nothing follows.
struct weak_cell {
  void* target;
};

/// All weak and ephemeron cells: they lie in spans of kinds of their own.
///
/// The collector decides what dies while mutators run. From decide() to decided() a thread that wants a weak address
/// waits. So none
/// gets one that another thread has already seen to be dead, and none is told of after the last buffer is empty.
class weak_cells {
 public:
  constexpr weak_cells() noexcept = default;

  /// The kinds; 0: no memory.
  kind_number weak_kind() noexcept;
  kind_number ephemeron_kind() noexcept;

  /// From now on a thread that looks at a cell waits. The collector then excludes each mutator once.
  void decide() noexcept { deciding_.store(true, std::memory_order_relaxed); }
  void decided() noexcept {
    // release: so that the cells are seen as they have been cleared; acquire half in address_in().
    deciding_.store(false, std::memory_order_release);
  }
  /// Clears the cells whose targets are not marked. Between the two.
  void clear_dead(marker& m) noexcept;

  /// The address in a slot of a cell, which is kept from now on; null: dead.
  void* address_in(void* const& slot) noexcept;

 private:
  atomic<bool> deciding_{false};
  atomic<kind_number> weak_{0};
  atomic<kind_number> ephemeron_{0};
};

extern constinit weak_cells the_weak_cells;

}  // namespace heddle::gc::detail
