// SPDX-License-Identifier: BSL-1.0
#include "mark/work_share.hpp"

#include <ctime>
#include <new>

#include "barrier/handover.hpp"
#include "heap/immortal.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

namespace platform = heddle::detail::platform;

constinit work_share the_work_share;

namespace {

using packets = handover<work_packet>;

packets& shared() noexcept {
  static immortal<packets> p;
  return p.value;
}
packets& aside() noexcept {
  static immortal<packets> p;
  return p.value;
}
packets& empties() noexcept {
  static immortal<packets> p;
  return p.value;
}

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr std::size_t made_at_once = 1;
void wait_briefly(unsigned) noexcept { platform::yield_thread(); }
#else
constexpr std::size_t made_at_once = 64;
/// A helper is over within some microseconds, if it has a processor.
void wait_briefly(unsigned i) noexcept {
  if (i < 200) return platform::cpu_relax();
  const timespec some{0, 20'000};
  ::nanosleep(&some, nullptr);
}
#endif

}  // namespace

bool work_share::enter() noexcept {
  if (open_.load(std::memory_order_relaxed) == 0) return false;
  if (HEDDLE_PLANTED(gc_helper_looks_early)) {
    helpers_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  // seq_cst, both: the helper is counted before it looks once more, so close() sees it, or it sees that it is closed.
  helpers_.fetch_add(1, std::memory_order_seq_cst);
  if (open_.load(std::memory_order_seq_cst) != 0) return true;
  leave();
  return false;
}

void work_share::close() noexcept {
  open_.store(0, std::memory_order_seq_cst);  // seq_cst: see enter()
  // seq_cst as well as acquire: see enter() and leave().
  for (unsigned i = 0; helpers_.load(std::memory_order_seq_cst) != 0 && !HEDDLE_PLANTED(gc_close_awaits_nobody); ++i)
    wait_briefly(i);
}

work_packet* work_share::take() noexcept { return shared().get(); }
void work_share::put(work_packet& p) noexcept { shared().put(p); }
void work_share::put_aside(work_packet& p) noexcept { aside().put(p); }
work_packet* work_share::take_aside() noexcept { return aside().get(); }

bool work_share::wants_more() const noexcept {
  return open_.load(std::memory_order_relaxed) != 0 && shared().queued() < enough;
}

work_packet* work_share::make() noexcept {
  if (work_packet* const p = empties().get(); p != nullptr) return p;
  // Pages of the kernel's: a thread that is stopped may hold a lock of malloc's.
  auto* const at = static_cast<char*>(heddle::detail::collected_pages::make_tables(made_at_once * sizeof(work_packet)));
  if (at == nullptr) return nullptr;
  for (std::size_t i = 1; i != made_at_once; ++i) empties().put(*new (at + i * sizeof(work_packet)) work_packet);
  return new (at) work_packet;
}

void work_share::recycle(work_packet& p) noexcept {
  p.count = 0;
  empties().put(p);
}

}  // namespace heddle::gc::detail
