// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/beast/http/fields.hpp>
#include <memory_resource>
#include <string_view>

namespace examples::http {

/// An allocator over a memory resource that lives longer than all that is allocated.
template <class T>
class arena_allocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::false_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::false_type;

  explicit arena_allocator(std::pmr::memory_resource& memory) noexcept : memory_(&memory) {}
  template <class U>
  arena_allocator(const arena_allocator<U>& other) noexcept : memory_(other.resource()) {}

  T* allocate(std::size_t n) { return static_cast<T*>(memory_->allocate(n * sizeof(T), alignof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { memory_->deallocate(p, n * sizeof(T), alignof(T)); }
  std::pmr::memory_resource* resource() const noexcept { return memory_; }

  template <class U>
  bool operator==(const arena_allocator<U>& other) const noexcept {
    return memory_ == other.resource();
  }

 private:
  std::pmr::memory_resource* memory_;
};

/// Header fields as Boost.Beast keeps them, found by name without regard to case.
using fields = boost::beast::http::basic_fields<arena_allocator<char>>;

/// Boost's view of a text as the standard's: which class it is depends on the version.
template <class View>
std::string_view text_of(const View& view) noexcept {
  return {view.data(), view.size()};
}

}  // namespace examples::http
