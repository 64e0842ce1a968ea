// SPDX-License-Identifier: BSL-1.0
#include "misuse.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "mheap.hpp"

namespace heddle::detail {
namespace {

/// Text without allocation: snprintf() allocates nothing for these formats.
struct line {
  char text[512];
  std::size_t length = 0;
  void add(const char* words) noexcept { add("%s", words); }
  template <class... Args>
  requires(sizeof...(Args) != 0) void add(const char* format, Args... args) noexcept {
    const int n = std::snprintf(text + length, sizeof text - length, format, args...);
    if (n > 0)
      length =
          length + static_cast<std::size_t>(n) < sizeof text ? length + static_cast<std::size_t>(n) : sizeof text - 1;
  }
  void add_span(const span& s) noexcept {
    add("in the span %p of blocks of %zu bytes (class %u)", static_cast<const void*>(s.start), s.size,
        unsigned{s.klass});
  }
  void add_place(const void* p, const span* s) noexcept {
    if (s == nullptr) return add("it is not memory of this heap");
    if (s->start == nullptr) return add("the page is free, so what was there has been freed");
    const auto offset = static_cast<std::size_t>(static_cast<const char*>(p) - s->start);
    if (s->is_large())
      return add("it lies %zu bytes behind the beginning of the block of %zu bytes at %p", offset, s->size,
                 static_cast<const void*>(s->start));
    const std::size_t index = offset / s->size;
    if (index >= s->capacity)
      add("it lies behind the last block, ");
    else
      add("it lies %zu bytes behind the beginning of block %zu of %u, ", offset % s->size, index,
          unsigned{s->capacity});
    add_span(*s);
  }
  [[noreturn]] void end() noexcept {
    add("\n");
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, length);
    std::abort();
  }
};

}  // namespace

void misuse(const char* what, const void* p, const span* s, const char* why) noexcept {
  line l;
  l.add("heddle_malloc: %s(%p): ", what, p);
  if (why != nullptr)
    l.add("%s; ", why);
  else if (s != nullptr && s->kind != span_kind::manual && s->state != span_state::unused)
    l.add("it belongs to the collector; ");
  else if (reinterpret_cast<std::uintptr_t>(p) % grain != 0)
    l.add("not aligned to %zu as every block is; ", grain);
  else
    l.add("no block begins there: freed before, or never allocated; ");
  l.add_place(p, s);
  l.end();
}

void misuse_outside(const char* what, const void* p, const char* why, const void* block, std::size_t size) noexcept {
  line l;
  l.add("heddle_malloc: %s(%p): %s", what, p, why);
  if (block != nullptr)
    l.add("; it lies %zu bytes behind the beginning of the block of %zu bytes at %p",
          static_cast<std::size_t>(static_cast<const char*>(p) - static_cast<const char*>(block)), size, block);
  l.end();
}

void wrong_size(const void* p, std::size_t size, std::size_t known, const span* s) noexcept {
  line l;
  l.add("heddle_malloc: delete(%p) as %zu bytes, but the block has %zu", p, size, known);
  if (s != nullptr && !s->is_large()) {
    l.add(", ");
    l.add_span(*s);
  }
  l.end();
}

void wrong_alignment(const void* p, std::size_t alignment, std::size_t known) noexcept {
  line l;
  l.add("heddle_malloc: delete(%p) ", p);
  alignment > 1 ? l.add("as aligned to %zu bytes, ", alignment) : l.add("without an alignment, ");
  known == 0 ? l.add("which it is not") : l.add("but it was asked for with an alignment of %zu", known);
  l.end();
}

void damaged(const char* found, const void* p, const span* s) noexcept {
  line l;
  l.add("heddle_malloc: %p: %s; ", p, found);
  l.add_place(p, s);
  l.end();
}

void broken_link(const void* block, const span& s) noexcept {
  damaged("this free block was written: after it was freed, or by an overflow of the one before it", block, &s);
}

void written(const char* found, const void* p, std::size_t size, const void* at, const span* s) noexcept {
  line l;
  const auto offset = static_cast<const char*>(at) - static_cast<const char*>(p);
  l.add("heddle_malloc: %s: the block of %zu bytes at %p, byte %td", found, size, p, offset);
  if (s != nullptr) {
    l.add(", ");
    l.add_span(*s);
  }
  l.end();
}

}  // namespace heddle::detail
