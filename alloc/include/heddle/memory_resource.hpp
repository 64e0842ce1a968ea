// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory_resource>

#include "heddle/alloc.hpp"

namespace heddle::alloc {

/// heddle's allocator as a std::pmr::memory_resource, for containers of std::pmr and whatever takes a resource.
///
///     std::pmr::vector<int> v(heddle::alloc::default_resource());
///     std::pmr::set_default_resource(heddle::alloc::default_resource());   // for all that name none
///
/// All of them are equal: what one has given out another may take back. Throws std::bad_alloc. O(1), a virtual call
/// more than allocate(). From any thread and from fibers.
class HEDDLE_EXPORT memory_resource final : public std::pmr::memory_resource {
 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) noexcept override {
    alignment <= 16 ? alloc::deallocate(p, bytes) : alloc::deallocate(p, bytes, std::align_val_t{alignment});
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;
};

/// One for all, which is there as long as the process is, destructors of static objects included. Never null.
[[nodiscard]] HEDDLE_EXPORT memory_resource* default_resource() noexcept;

}  // namespace heddle::alloc
