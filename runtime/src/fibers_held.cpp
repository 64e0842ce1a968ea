// SPDX-License-Identifier: BSL-1.0
//
// All fibers are claimed firmly, as one of them is by scan_mark.hpp. What the lists of blocks say is copied before,
// since their lock may be held by a stopped thread; if a block has been built since, there is no hold.
#include "heddle/detail/fibers_held.hpp"

#include <array>
#include <vector>

#include "fiber_frames.hpp"
#include "fiber_scan.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

struct fibers_held::blocks {
  std::vector<fiber_pool::slab> slabs;
  std::size_t built = 0;
};

fibers_held::fibers_held() : blocks_(std::make_unique<blocks>()) {
  fiber_pool& pool = fiber_pool::instance();
  blocks_->built = pool.built_ever();
  std::array<fiber_pool::slab, 64> some;
  const fiber* last = nullptr;
  while (const std::size_t n = pool.slabs_after(last, some.data(), some.size())) {
    blocks_->slabs.insert(blocks_->slabs.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
    last = some[n - 1].fibers;
  }
  pool.begin_walk();
  scanning.store(true, std::memory_order_relaxed);
  births_held.store(1, std::memory_order_relaxed);
  platform::heavy_barrier();  // who makes a fiber from now on waits; light half in await_births()
}

fibers_held::~fibers_held() {
  for_each([](fiber& f) { f.mark.let_go(); });
  scanning.store(false, std::memory_order_relaxed);
  births_held.store(0, std::memory_order_release);  // release: the stop is over; acquire half in await_births()
  platform::futex_wake(births_held, 1U << 30);
  tell_waiters();
  fiber_pool::instance().end_walk();
}

template <class F>
void fibers_held::for_each(F f) noexcept {
  for (const fiber_pool::slab& s : blocks_->slabs)
    for (std::size_t i = 0; i != s.used; ++i) f(s.fibers[i]);
}

void fibers_held::for_each_at_work(void (*f)(void*, int), void* argument) noexcept {
  const visit runtime;
  if (!runtime) return;
  for (const machine* m = runtime->machines(); m != nullptr; m = m->made_before) {
    const int thread = m->thread_number.load(std::memory_order_relaxed);
    // acquire: so that the fiber it has left is seen as it is then; release half in machine_main().
    if (thread != 0 && !m->at_home.load(std::memory_order_acquire)) f(argument, thread);
  }
}

bool fibers_held::hold(bool (*is_stopped)(void*, int), void* argument) noexcept {
  for_each([](fiber& f) {
    const where at = look(f);
    if (at != where::nowhere && at != where::running) f.mark.claim(scan_hold::firm);
  });
  platform::heavy_barrier();  // the claims before the looks; light half in scan_mark::equals()
  struct {
    bool (*is_stopped)(void*, int);
    void* argument;
    bool all;
  } asked{is_stopped, argument, fiber_pool::instance().built_ever() == blocks_->built};
  for_each_at_work(
      [](void* to, int thread) {
        auto& a = *static_cast<decltype(asked)*>(to);
        a.all &= a.is_stopped(a.argument, thread);
      },
      &asked);
  return asked.all;
}

void fibers_held::scan(word_visitor& v) noexcept {
  for_each([&v](fiber& f) {
    const where at = look(f);
    if (at != where::nowhere && at != where::running) visit_fiber(v, f, at);
  });
}

}  // namespace heddle::detail
