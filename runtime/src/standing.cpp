// SPDX-License-Identifier: BSL-1.0
#include "standing.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>

#include "fiber_frames.hpp"
#include "heddle/detail/fiber_roots.hpp"
#include "page_watch.hpp"

namespace heddle::detail {
namespace {

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr std::size_t touched_size = 4;
#else
constexpr std::size_t touched_size = std::size_t{1} << 16;  // pages of 1.4 million fibers
#endif
/// By pages of control blocks: in which scan a fiber there was last resumed unscanned.
constinit std::array<atomic<std::uint8_t>, touched_size> touched{};

atomic<std::uint8_t>& touched_of(const fiber* f) noexcept {
  return touched[reinterpret_cast<std::uintptr_t>(f) / page_size % touched_size];
}

/// The saved state of a fiber. The fiber may be resumed and change it meanwhile.
[[gnu::no_sanitize_thread]] const void* lowest_of(const fiber& f) noexcept {
  return __atomic_load_n(&f.context, __ATOMIC_RELAXED);
}
[[gnu::no_sanitize_thread]] const void* top_of(const fiber& f) noexcept {
  return __atomic_load_n(&f.memory, __ATOMIC_RELAXED);
}

/// All words from the one to the other, which may change meanwhile.
[[gnu::no_sanitize_thread]] std::uint64_t sum_of(const void* from, const void* to) noexcept {
  constexpr std::uint64_t prime = 0x100000001b3;  // of FNV-1a
  std::uint64_t sum = 0;
  for (auto* p = static_cast<const std::uint64_t*>(from); p < to; ++p)
    sum = (sum ^ __atomic_load_n(p, __ATOMIC_RELAXED)) * prime;
  return sum;
}

}  // namespace

// relaxed: the turn that is counted next orders it; other half in is_touched().
void touch(const fiber& f, std::uint8_t epoch) noexcept { touched_of(&f).store(epoch, std::memory_order_relaxed); }

standing_notes& standing_notes::instance() noexcept {
  alignas(standing_notes) static unsigned char space[sizeof(standing_notes)];
  static standing_notes* const notes = ::new (space) standing_notes;
  return *notes;
}

void standing_notes::forget() noexcept {
  stacks.clear();
  contents.clear();
  last_epoch = 0;
  page_watch::forget();
}

void standing_notes::note_contents(const fiber& f) noexcept {
  try {
    contents[&f] = sum_of(lowest_of(f), top_of(f));
  } catch (const std::bad_alloc&) {
    contents.erase(&f);
  }
}

std::uint64_t quiet_pages::of(const fiber* slab) noexcept {
  while (next_ != pages_.size() && std::less<>()(pages_[next_].first, slab)) ++next_;
  return next_ != pages_.size() && pages_[next_].first == slab ? pages_[next_].second : 0;
}

void quiet_pages::note(const fiber* slab, std::uint64_t pages) noexcept {
  try {
    if (pages != 0) pages_.emplace_back(slab, pages);
  } catch (const std::bad_alloc&) {
    // They are looked at again.
  }
}

bool quiet_pages::is_touched(const fiber* in_page, std::uint8_t epoch) noexcept {
  // relaxed: a thread that has seen the turn that was counted after it sees it; one that has not comes again.
  return touched_of(in_page).load(std::memory_order_relaxed) == epoch;
}

// --- parts of a scan ------------------------------------------------------------------------------------------------

/// Whether the scan need not read the stack of f, which looked suspended after the heavy barrier: its state before its
/// mark. A machine that resumes it says `running`, and then thaws it.
bool fiber_roots::passes_over(fiber& f) noexcept {
  if (standing_ != standing_fibers::passed_over || !f.mark.is_frozen()) return false;
  if (!standing_notes::instance().stacks.is_unchanged(lowest_of(f), top_of(f))) return false;
  if (verifies_) verify(f);
  visit_result(visitor_, f);  // it may be resumed, and even end
  f.mark.keep_frozen();
  if (first_pass_) {
    ++still_;
    ++passed_over_;
  }
  return true;
}

/// f was found frozen, and its pages unwritten; its stack stays mapped for long.
void fiber_roots::verify(const fiber& f) noexcept {
  const auto known = standing_notes::instance().contents.find(&f);
  if (known == standing_notes::instance().contents.end()) return;
  const auto* const from = static_cast<const char*>(lowest_of(f));
  const auto* const to = static_cast<const char*>(top_of(f));
  if (sum_of(from, to) == known->second || !f.mark.is_frozen()) return;
  // Others may have written since the scan began; then the kernel knows by now.
  const char* const first = from - reinterpret_cast<std::uintptr_t>(from) % page_size;
  const std::size_t pages = (static_cast<std::size_t>(to - first) + page_size - 1) / page_size;
  bool is_written = false;
  const auto note = [](void* flag, const char*, const char*) { *static_cast<bool*>(flag) = true; };
  if (!page_watch::for_each_written(first, pages * page_size, note, &is_written) || is_written) return;
  std::fprintf(
      stderr,
      "heddle: the stack of the parked fiber %llu, from %p to %p, has been written into, and the kernel has not "
      "told: HEDDLE_GC=watch=0 has all stacks read\n",
      static_cast<unsigned long long>(f.id), static_cast<const void*>(from), static_cast<const void*>(to));
  std::abort();
}

bool fiber_roots::has_stood_still(const fiber& f) const noexcept {
  const standing_notes& notes = standing_notes::instance();
  return notes.last_epoch != 0 && f.mark.epoch() == notes.last_epoch && !f.mark.is_frozen() &&
         f.state.load(std::memory_order_relaxed) == fiber_state::parked;
}

/// Before any of them is read: the stacks of those that are likely to be frozen. If a machine takes one away meanwhile,
/// its pages are protected for nothing.
void fiber_roots::protect(fiber* const* first, std::size_t n) noexcept {
  watched_stacks& stacks = standing_notes::instance().stacks;
  for (std::size_t i = 0; i != n; ++i)
    if (has_stood_still(*first[i])) stacks.note(lowest_of(*first[i]), top_of(*first[i]));
  stacks.protect();
}

/// Of a suspended one that is held, before it is read.
bool fiber_roots::is_to_be_frozen(const fiber& f) const noexcept {
  if (!freezes_) return false;
  const watched_stacks& stacks = standing_notes::instance().stacks;
  const bool was_frozen = f.mark.is_frozen();
  if (!was_frozen && !has_stood_still(f)) return false;
  const bool tells = was_frozen ? stacks.is_unchanged(f.context, f.memory)
                                : stacks.is_protected(f.context, f.memory) || HEDDLE_PLANTED(protected_when_read);
  if (!tells) return false;
  // Its memory elsewhere is not watched: exceptions, large closures, further segments and allocas.
  if (f.caught != nullptr || f.uncaught != 0 || f.big) return false;
  return f.memory->limit == nullptr || (f.memory->next == nullptr && f.memory->blocks == nullptr);
}

}  // namespace heddle::detail
