// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace heddle::gc::detail {

/// How objects have been reached: for each the object, or the root, in which its address was found first. Its memory is
/// the kernel's: it takes no lock of the program.
class trail {
 public:
  struct origin {
    const char* root = nullptr;    ///< words for people; null: an object
    const char* object = nullptr;  ///< where it begins
  };

  trail() noexcept = default;
  ~trail();
  trail(const trail&) = delete;
  trail& operator=(const trail&) = delete;

  /// Without memory it is left out.
  void add(const char* object, origin from) noexcept;
  /// Null: it has not been reached.
  const origin* find(const char* object) const noexcept;

 private:
  struct entry {
    const char* object;  // null: free
    origin from;
  };
  std::size_t place_of(const char* object) const noexcept;
  bool grow() noexcept;

  entry* entries_ = nullptr;
  std::size_t slots_ = 0;  // a power of two
  std::size_t count_ = 0;
};

}  // namespace heddle::gc::detail
