// SPDX-License-Identifier: BSL-1.0
//
// What programs ask the C library about its heap: malloc_stats() and its relatives, as glibc declares them.
#include "statistics.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>

#include "../src/statistics.hpp"
#include "kept_descriptor.hpp"
#include "options.hpp"

using namespace heddle;

#define HEDDLE_SHIM extern "C" __attribute__((visibility("default")))

namespace {

void print(int descriptor) noexcept {
  const int error = errno;
  alloc::statistics s;
  detail::gather(s);
  detail::text_writer to(detail::write_to_descriptor, &descriptor);
  detail::write_text(s, to);
  to.flush();
  errno = error;
}

bool write_stream(void* to, const char* text, std::size_t n) noexcept {
  return std::fwrite(text, 1, n, static_cast<std::FILE*>(to)) == n;
}

/// glibc's words for what there is: the heap as its arena, huge blocks as its mapped ones.
struct mallinfo2 information() noexcept {
  alloc::statistics s;
  detail::gather(s);
  struct mallinfo2 i {};
  i.arena = s.in_spans + s.idle_resident;
  i.hblkhd = s.huge;
  for (const alloc::class_statistics& c : s) i.ordblks += c.free;
  i.uordblks = s.in_use() - s.huge;
  i.fordblks = i.arena - std::min(i.uordblks, i.arena);
  i.keepcost = s.idle_resident;
  return i;
}

}  // namespace

namespace {

/// Runs behind the program's own, since the shim has been loaded before it.
[[gnu::destructor]] void at_exit() noexcept {
  if (detail::the_options.stats) detail::print_statistics_at_exit();
}

}  // namespace

void heddle::detail::print_statistics_at_exit() noexcept { print(the_stderr.get()); }

HEDDLE_SHIM void malloc_stats() noexcept { print(STDERR_FILENO); }

HEDDLE_SHIM struct mallinfo2 mallinfo2() noexcept { return information(); }

/// Its numbers are int: what does not fit is INT_MAX, where glibc's would wrap around.
HEDDLE_SHIM struct mallinfo mallinfo() noexcept {
  const auto narrow = [](std::size_t n) noexcept { return static_cast<int>(std::min<std::size_t>(n, INT_MAX)); };
  const struct mallinfo2 wide = information();
  struct mallinfo i {};
  i.arena = narrow(wide.arena);
  i.ordblks = narrow(wide.ordblks);
  i.hblkhd = narrow(wide.hblkhd);
  i.uordblks = narrow(wide.uordblks);
  i.fordblks = narrow(wide.fordblks);
  i.keepcost = narrow(wide.keepcost);
  return i;
}

/// An XML document, as with glibc, of our own elements: its format is not specified. `options` must be 0.
HEDDLE_SHIM int malloc_info(int options, std::FILE* to) noexcept {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  alloc::statistics s;
  detail::gather(s);
  detail::text_writer out(write_stream, to);
  out.add("<malloc version=\"heddle-1\">\n<sizes>\n");
  for (const alloc::class_statistics& c : s)
    if (c.spans() != 0)
      out.add("  <size bytes=\"%zu\" in_use=\"%zu\" free=\"%zu\" fresh=\"%zu\" pages=\"%zu\"/>\n", c.block_size,
              c.in_use, c.free, c.fresh, c.pages);
  out.add("</sizes>\n<large count=\"%zu\" bytes=\"%zu\"/>\n<huge bytes=\"%zu\"/>\n", s.large_blocks, s.large_bytes,
          s.huge);
  out.add("<system in_spans=\"%zu\" idle=\"%zu\" records=\"%zu\" mapped=\"%zu\" released=\"%zu\"/>\n</malloc>\n",
          s.in_spans, s.idle_resident, s.records, s.mapped, s.released);
  return out.flush() ? 0 : -1;
}

/// Says yes to what glibc knows and has nothing to do: there are no bins, arenas or thresholds here. 1: accepted; 0:
/// not a parameter, or not a value for it.
HEDDLE_SHIM int mallopt(int parameter, int value) noexcept {
  constexpr int largest_fast_block = 80 * int{sizeof(std::size_t)} / 4;
  switch (parameter) {
    case M_MXFAST: return value >= 0 && value <= largest_fast_block;
    case M_MMAP_THRESHOLD: return value >= 0 && value <= (32 << 20);  // half of the largest heap of an arena
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX: return 1;
    default: return 0;
  }
}
