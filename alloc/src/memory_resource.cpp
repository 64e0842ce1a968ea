// SPDX-License-Identifier: BSL-1.0
#include "heddle/memory_resource.hpp"

#include <cstring>

namespace heddle::alloc {
namespace {

/// The class of an object: the pointer to its virtual functions, with which it begins (Itanium C++ ABI, section
/// 2.4). Not by dynamic_cast: the virtual functions may come from code that was compiled with -fno-rtti.
const void* class_of(const std::pmr::memory_resource& r) noexcept {
  const void* functions = nullptr;
  std::memcpy(&functions, static_cast<const void*>(&r), sizeof functions);
  return functions;
}

/// Never destroyed: static objects may give memory back after it would have been.
union immortal {
  immortal() noexcept : resource() {}
  ~immortal() {}
  memory_resource resource;
};

}  // namespace

// The first virtual function that is not inline: so the class's table of them is here and nowhere else.
void* memory_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  return alignment <= 16 ? alloc::allocate(bytes) : alloc::allocate(bytes, std::align_val_t{alignment});
}

bool memory_resource::do_is_equal(const std::pmr::memory_resource& other) const noexcept {
  return class_of(*this) == class_of(other);  // there is no class derived from it
}

memory_resource* default_resource() noexcept {
  static immortal one;
  return &one.resource;
}

}  // namespace heddle::alloc
