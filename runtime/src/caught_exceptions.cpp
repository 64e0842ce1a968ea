// SPDX-License-Identifier: BSL-1.0
//
// What a collector reads of exceptions that have been caught: the objects lie in malloc's memory, which is no root.
//
// Source: the Itanium C++ ABI, exception handling, section 2.2.1, as libstdc++ has it (unwind-cxx.h): a header, the
// thrown object behind it, and a count of references before it, where malloc's block begins.
#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/fiber_roots.hpp"

namespace heddle::detail {

namespace {

struct header {
  void* type;  ///< of a dependent one: the object of the primary
  void* destructor;
  void* unexpected;
  void* terminate;
  header* next;
  int handlers;
  int switch_value;
  void* action;
  void* language_data;
  void* landing_pad;
  void* adjusted;
  alignas(16) std::uint64_t exception_class;
  void* cleanup;
  std::uintptr_t for_unwinder[2];
};
static_assert(sizeof(header) == 112);

constexpr std::size_t count_of_references = 16;              // with its padding
constexpr std::uint64_t primary_class = 0x474E5543432B2B00;  // "GNUCC++", 0
constexpr std::uint64_t dependent_class = primary_class + 1;
constexpr std::size_t most = std::size_t{64} << 10;  // larger ones are read so far

void visit_object(word_visitor& v, const void* object) noexcept {
  const char* const block = static_cast<const char*>(object) - sizeof(header) - count_of_references;
  const std::size_t bytes = std::min(::malloc_usable_size(const_cast<char*>(block)), most) & ~std::size_t{7};
  if (block + bytes > object) v.words(object, block + bytes);
}

}  // namespace

void visit_caught_exceptions(word_visitor& v, const void* innermost) noexcept {
  for (auto* h = static_cast<const header*>(innermost); h != nullptr; h = h->next) {
    if (h->exception_class == primary_class) visit_object(v, h + 1);
    if (h->exception_class == dependent_class) visit_object(v, h->type);
    if (h->exception_class != primary_class && h->exception_class != dependent_class) return;  // another language's
  }
}

}  // namespace heddle::detail
