// SPDX-License-Identifier: BSL-1.0
//
// What one fiber or plain thread has of its own: the values of fiber-local variables, and the group it belongs to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/locals.hpp"

namespace heddle::detail {

class group_core;

/// A fiber-local variable, as values know it. Numbers are never given twice, so a value that outlives its variable is
/// nobody else's; places are, so that tables stay short.
struct local_variable {
  std::uint64_t number = 0;  ///< 0 is no variable
  std::uint32_t place = 0;
};
/// Throws std::bad_alloc. From fibers and plain threads, also before main().
HEDDLE_EXPORT local_variable new_local_variable();
HEDDLE_EXPORT void free_local_variable(const local_variable& v) noexcept;

/// The head of one value, in a block of its own.
struct local_value {
  local_value* older = nullptr;
  local_value* newer = nullptr;
  void (*destroy)(local_value*) noexcept;  ///< ends the value and frees its block
  local_variable variable;
};

/// What is local to one fiber or plain thread; used by that one alone.
///
/// 1. It lies in the frame of a child of a group, which clears it, or on the heap, where the first value of another
///    fiber or of a thread puts it; then the runtime calls `end`.
/// 2. Every value is in the table, at the place of its variable, and in the list, which is in the order in which values
///    were made. One whose variable is gone stays until another variable needs the place.
class HEDDLE_EXPORT own_locals : public locals_base {
 public:
  /// Of a child of `group`, in whose frame it lies.
  explicit own_locals(group_core* group) noexcept : locals_base{nullptr}, group_(group) { set_locals(this); }
  own_locals(const own_locals&) = delete;
  own_locals& operator=(const own_locals&) = delete;
  ~own_locals() {
    if (table_ != nullptr) [[unlikely]]
      end_values();
    set_locals(nullptr);
  }

  /// Those of the caller; null if it has none yet.
  static own_locals* find() noexcept { return static_cast<own_locals*>(locals()); }
  /// Those of the caller, made on the heap if need be. Throws std::bad_alloc.
  static own_locals& get();

  /// The innermost group that the caller belongs to, or null.
  group_core* group() const noexcept { return group_; }

  local_value* value_of(const local_variable& v) const noexcept {
    return v.place < size_ && table_[v.place].number == v.number ? table_[v.place].value : nullptr;
  }
  /// Makes room for a value, so that insert() cannot fail. Throws std::bad_alloc.
  void make_room(const local_variable& v) {
    if (v.place >= size_) grow(v.place);
  }
  /// Returns the value that stood in its place, if one did; the caller destroys it.
  [[nodiscard]] local_value* insert(local_value& value) noexcept;
  void remove(local_value& value) noexcept;
  /// Ends all values, the newest first, and those that their destructors make.
  void clear() noexcept;

 private:
  struct entry {
    std::uint64_t number;  ///< of the variable; 0: the place is free
    local_value* value;
  };
  struct on_heap {};
  explicit own_locals(on_heap) noexcept : locals_base{end_on_heap} {}
  static void end_on_heap(locals_base* self) noexcept;
  // Apart, since what it calls makes functions compiled for segmented stacks ask for a large one.
  [[gnu::noinline]] void end_values() noexcept { clear(); }
  void grow(std::size_t place);

  entry* table_ = nullptr;
  std::size_t size_ = 0;
  local_value* newest_ = nullptr;
  group_core* const group_ = nullptr;
};

}  // namespace heddle::detail
