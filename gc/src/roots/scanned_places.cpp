// SPDX-License-Identifier: BSL-1.0
#include "roots/scanned_places.hpp"

#include <cstdint>
#include <new>

#include "heap/immortal.hpp"
#include "heap/region.hpp"
#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/scanned_memory.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "roots/globals.hpp"
#include "roots/thread_locals.hpp"
#include "roots/threads.hpp"

namespace heddle::gc::detail {
namespace {

/// The thread-locals of all threads, for several that ask at the same time.
class shared_locals {
 public:
  bool holds(pthread_t thread, const void* p) noexcept {
    const heddle::detail::thread_lock hold(lock_);
    try {
      if (!locals_.is_current()) locals_.refresh();
    } catch (const std::bad_alloc&) {
      return true;  // it is not known
    }
    return locals_.holds(thread, p);
  }

 private:
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::endings};
  thread_locals locals_ HEDDLE_GUARDED_BY(lock_);
};

bool is_of_thread(const void* p) noexcept {
  static immortal<shared_locals> locals;
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  const known_threads all;
  for (const thread_registration* t = all.first(); t != nullptr; t = known_threads::after(*t))
    if (at - t->stack_bottom() < t->stack_top() - t->stack_bottom() || locals.value.holds(t->handle(), p)) return true;
  return false;
}

struct search {
  const void* wanted;
  bool found;
};

bool is_listed(const void* p) noexcept {
  search s{p, false};
  heddle::detail::scanned_memory::for_each(
      [](void* context, const void* from, std::size_t bytes) noexcept {
        auto& [wanted, found] = *static_cast<search*>(context);
        found |= reinterpret_cast<std::uintptr_t>(wanted) - reinterpret_cast<std::uintptr_t>(from) < bytes;
      },
      &s);
  return s.found;
}

}  // namespace

bool is_scanned(const void* p) noexcept {
  if (const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(p))) return b.of->how != walk::none;
  return heddle::detail::is_memory_of_fibers(p) || is_of_thread(p) || is_global(p) || is_listed(p);
}

}  // namespace heddle::gc::detail
