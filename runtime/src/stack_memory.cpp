// SPDX-License-Identifier: BSL-1.0
#include "stack_memory.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "execution.hpp"
#include "stack.hpp"
#include "valgrind.hpp"

namespace heddle::detail {
namespace {

constexpr int advice_guard_install = 102;  // MADV_GUARD_INSTALL, absent from older headers
constexpr int map_flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;

// Not a static local with its guard: a thread that forks while another holds the guard leaves it held in the child.
// All threads that probe find the same, so relaxed will do.
constinit std::atomic<guard_kind> known_guard{guard_kind::unknown};
constinit std::atomic<bool> unguarded_told{false};
constinit std::atomic<bool> unlocked_told{false};

/// Whether the page is locked: tries a call that such a page refuses. The page must hold nothing.
bool is_locked(char* at) noexcept { return ::madvise(at, page_size, MADV_DONTNEED) != 0 && errno == EINVAL; }

guard_kind probe_guard() noexcept {
  if (under_valgrind()) return guard_kind::mapping;
  void* const p = ::mmap(nullptr, page_size, PROT_NONE, map_flags, -1, 0);
  if (p == MAP_FAILED) return guard_kind::mapping;
  ::munlock(p, page_size);  // a locked page takes none
  const bool works = ::madvise(p, page_size, advice_guard_install) == 0;
  ::munmap(p, page_size);
  return works ? guard_kind::marker : guard_kind::mapping;
}

guard_kind guard_in_use() noexcept {
  guard_kind kind = known_guard.load(std::memory_order_relaxed);
  if (kind != guard_kind::unknown) return kind;
  kind = probe_guard();
  known_guard.store(kind, std::memory_order_relaxed);
  return kind;
}

bool open(char* at, std::size_t bytes) noexcept { return ::mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0; }

/// The same where mprotect is refused. If it was refused since it would make too many mappings, this is refused too.
bool open_anew(char* at, std::size_t bytes) noexcept {
  if (::mmap(at, bytes, PROT_READ | PROT_WRITE, map_flags | MAP_FIXED, -1, 0) == MAP_FAILED) return false;
  ::madvise(at, bytes, MADV_NOHUGEPAGE);
  return true;
}

/// Opens all from `at` on, without guards: to the end of the row, of `rows` such rows, or of the reservation: one
/// mapping less.
bool open_plainly(char* at, const slot_row& row, std::size_t rows, char*& opened, char* end) noexcept {
  std::size_t bytes = static_cast<std::size_t>(row.at + rows * row.bytes() - at);
  bytes = std::min((bytes + page_size - 1) / page_size * page_size, static_cast<std::size_t>(end - at));
  if (open(at, bytes) || open_anew(at, bytes)) {
    opened = at + bytes;
    return true;
  }
  if (!open(at, static_cast<std::size_t>(end - at))) return false;
  opened = end;
  return true;
}

void tell_unguarded(int error) noexcept {
  if (unguarded_told.exchange(true, std::memory_order_relaxed)) return;
  rlimit data{};
  const bool data_limited = ::getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY;
  const char* const causes[] = {"", " (vm.max_map_count may be reached)",
                                " (RLIMIT_DATA or vm.max_map_count may be reached)"};
  std::fprintf(stderr,
               "heddle: no guard page for fiber stacks any more: %s%s; an overflow from here on is not caught\n",
               std::strerror(error),
               causes[error != ENOMEM ? 0
                      : data_limited  ? 2
                                      : 1]);
}

/// Sets many guards by one system call, where the kernel lets a process advise itself; false where it does not.
bool mark_together(const slot_row& row) noexcept {
  if (row.count > stack_pool::batch) return false;
  std::array<iovec, stack_pool::batch> where;
  for (std::size_t i = 0; i != row.count; ++i) where[i] = {row.at + i * row.stride, row.guard};
  // Opened for each batch: a descriptor that is kept would be left over, and name the parent after a fork.
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (self < 0) return false;
  const long done = ::syscall(SYS_process_madvise, self, where.data(), row.count, advice_guard_install, 0);
  ::close(self);
  return done == static_cast<long>(row.count * row.guard);
}

/// Sets guards in slots that are open: markers, or else mappings.
void mark(const slot_row& row) noexcept {
  if (mark_together(row)) return;
  for (std::size_t i = 0; i != row.count; ++i) {
    char* const guard = row.at + i * row.stride;
    if (::madvise(guard, row.guard, advice_guard_install) == 0) continue;
    const int error = errno;
    if (::mprotect(guard, row.guard, PROT_NONE) == 0) continue;
    tell_unguarded(errno == ENOMEM ? ENOMEM : error);
    break;
  }
}

bool open_with_markers(const slot_row& row, char*& opened, char* end, bool locked) noexcept {
  // Slots that are open and not used yet are filled when the process locks its memory: so not for the first stacks.
  const std::size_t rows = row.guard == page_size && !locked ? 4 : 1;
  if (row.at + row.bytes() > opened && !open_plainly(row.at, row, rows, opened, end)) return false;
  mark(row);
  return true;
}

/// Of slots that are open with their guards, since there can be no mapping more. Markers need none.
void mark_upper_parts(const slot_row& row, int error) noexcept {
  const std::size_t marked = std::min(row.guard, widest_marker);
  if (guard_in_use() == guard_kind::marker)
    mark({row.at + (row.guard - marked), row.count, row.stride, marked});
  else
    tell_unguarded(error);
}

/// Leaves the guards closed.
bool open_between_guards(const slot_row& row, char*& opened, char* end) noexcept {
  if (row.at < opened) {
    mark_upper_parts(row, ENOMEM);
    return true;
  }
  for (std::size_t i = 0; i != row.count; ++i) {
    char* const slot = row.at + i * row.stride;
    if (open(slot + row.guard, row.stride - row.guard)) continue;
    const int error = errno;
    if (!open_plainly(slot, row, 1, opened, end)) return false;
    mark_upper_parts({slot, row.count - i, row.stride, row.guard}, error);
    return true;
  }
  return true;
}

/// Whether a process has so many guards that it goes on without, because it runs under Valgrind.
bool too_many_for_valgrind(std::size_t more) noexcept {
  constexpr std::size_t most = most_guards_under_valgrind;
  static constinit std::atomic<std::size_t> guards{0};
  if (!under_valgrind()) return false;
  const std::size_t before = guards.fetch_add(more, std::memory_order_relaxed);
  if (before < most) return false;
  if (before - more < most)
    std::fprintf(stderr, "heddle: under Valgrind only the first %zu fiber stacks have a guard page\n", most);
  return true;
}

void lock_as_touched(const slot_row& row) noexcept {
  if (::mlock2(row.at, row.bytes(), MLOCK_ONFAULT) == 0) return;
  const int error = errno;
  if (unlocked_told.exchange(true, std::memory_order_relaxed)) return;
  std::fprintf(stderr,
               "heddle: the process locks its memory (mlockall), but further fiber stacks cannot be locked: %s "
               "(RLIMIT_MEMLOCK may be reached); they may be paged out\n",
               std::strerror(error));
}

}  // namespace

char* reserve_address_space(std::size_t bytes, bool& locked) noexcept {
  void* const p = ::mmap(nullptr, bytes + gap_above_stacks(), PROT_NONE, map_flags, -1, 0);  // the gap stays closed
  if (p == MAP_FAILED) return nullptr;
  ::madvise(p, bytes, MADV_NOHUGEPAGE);  // one touched page must not become two megabytes
  char* const at = static_cast<char*>(p);
  locked = is_locked(at);
  if (locked) ::munlock(p, bytes);  // it counts against RLIMIT_MEMLOCK
  return at;
}

void return_address_space(char* at, std::size_t bytes) noexcept { ::munmap(at, bytes + gap_above_stacks()); }

bool open_slots(const slot_row& row, char*& opened, char* end, bool locked) noexcept {
  if (row.at >= opened && is_locked(row.at)) {
    locked = true;
    ::munlock(row.at, row.bytes());
  }
  const bool closed = guard_in_use() == guard_kind::mapping || row.guard > widest_marker;
  const bool done = row.guard == 0 || too_many_for_valgrind(row.count) ? open_plainly(row.at, row, 1, opened, end)
                    : closed                                           ? open_between_guards(row, opened, end)
                                                                       : open_with_markers(row, opened, end, locked);
  if (done && locked) lock_as_touched(row);
  return done;
}

#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN) || (defined(HEDDLE_MODEL) && HEDDLE_MODEL)
// Sanitizers look at frames themselves, and keep notes of every page; models overflow nothing.
std::size_t guard_for(std::size_t) noexcept { return page_size; }
#else
std::size_t guard_for(std::size_t made) noexcept {
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) return page_size;
  struct step {
    std::size_t made;
    std::size_t guard;
  };
  for (const step& s : {step{96, std::size_t{8} << 20}, {992, std::size_t{512} << 10}, {2016, std::size_t{64} << 10}})
    if (made < s.made) return s.guard;
  return page_size;
}
#endif

}  // namespace heddle::detail
