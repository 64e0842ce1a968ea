// SPDX-License-Identifier: BSL-1.0
#include "hardened.hpp"

#include <algorithm>

#include "canary.hpp"
#include "checked_blocks.hpp"
#include "guarded_blocks.hpp"
#include "mheap.hpp"
#include "misuse.hpp"
#include "options.hpp"
#include "os.hpp"
#include "thread_cache.hpp"
#include "untouchable_blocks.hpp"

namespace heddle::detail {

constinit std::uint64_t canary::secret = 0;

namespace hardened {
namespace {

/// Above this a block has a mapping of its own.
constexpr std::size_t checked_limit = (std::size_t{64} << 10) - canary::least;
constexpr std::size_t os_page = 4096;
static_assert(checked_limit <= span_checks::size_mask);

/// Of what allocate() and the others are called for, where p lies.
bool is_checked(const void* p) noexcept { return the_map.contains(p); }

span& span_with_checks(const void* p, const char* what) noexcept {
  span& s = the_map.span_of(p);
  if (reinterpret_cast<std::uintptr_t>(p) % grain != 0 || s.checks == nullptr) misuse(what, p, &s);
  return s;
}

/// Somebody has touched what cannot be touched.
void report_fault(const void* at) noexcept {
  if (the_untouchable_blocks.contains(at)) written("touched, but of 0 bytes", at, 0, at, nullptr);
  the_guarded_blocks.report_touched(at);
}

/// When the process ends normally: whatever is still damaged.
[[gnu::destructor]] void at_exit() noexcept {
  if (the_extras() == call_extras::checks) check_all();
}

}  // namespace

void begin() noexcept {
  if (canary::secret != 0) return;
  canary::secret = os::random_bits() | 1;
  set_up_process();
  os::on_fault(report_fault);
}

void* allocate(std::size_t alignment, std::size_t size, bool& zeroed) noexcept {
  zeroed = false;
  alignment = std::max(alignment, grain);
  if (size == 0 && alignment == grain)
    if (void* const p = the_untouchable_blocks.allocate(); p != nullptr) return p;
  if (size <= checked_limit && alignment <= os_page) {
    // Spans begin at pages, so blocks of a class are as aligned as their size is.
    size_class c = class_for(size + canary::least);
    while (class_info[c].size % alignment != 0) ++c;
    checked_blocks& all = the_checked_blocks[c];
    void* const p = all.allocate(c, alignment, size, zeroed);
    return p != nullptr || !the_guarded_blocks.release_all() ? p : all.allocate(c, alignment, size, zeroed);
  }
  zeroed = true;
  return the_guarded_blocks.allocate(alignment, size);
}

std::size_t size_of(const void* p, const char* what) noexcept {
  if (is_checked(p)) return checked_blocks::size_of(span_with_checks(p, what), p, what);
  if (!the_untouchable_blocks.contains(p)) return the_guarded_blocks.size_of(p, what);
  the_untouchable_blocks.check(p, what);
  return 0;
}

std::size_t alignment_of(const void* p, const char* what) noexcept {
  if (is_checked(p)) return checked_blocks::alignment_of(span_with_checks(p, what), p, what);
  return the_untouchable_blocks.contains(p) ? grain : the_guarded_blocks.alignment_of(p, what);
}

void deallocate(void* p, const char* what) noexcept {
  if (is_checked(p)) return checked_blocks::deallocate(span_with_checks(p, what), p, what);
  if (the_untouchable_blocks.contains(p)) return the_untouchable_blocks.deallocate(p, what);
  the_guarded_blocks.deallocate(p, what);
}

void check_all() noexcept {
  the_mheap.for_each_span([](span& s) {
    if (s.checks != nullptr) checked_blocks::check(s);
  });
  the_guarded_blocks.check();
}

void free_locks() noexcept {
  if (the_extras() != call_extras::checks) return;
  the_untouchable_blocks.lock().become_free();
  the_guarded_blocks.lock().become_free();
  for (checked_blocks& c : the_checked_blocks) c.lock().become_free();
}

}  // namespace hardened
}  // namespace heddle::detail
