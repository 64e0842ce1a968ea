// SPDX-License-Identifier: BSL-1.0
#include "cycle/misplaced.hpp"

#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <new>
#include <set>
#include <utility>

#include "barrier/mutators.hpp"
#include "heap/immortal.hpp"
#include "heddle/detail/fake_frames.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "roots/scanned_places.hpp"

namespace heddle::gc::detail {
namespace {

/// A type of object, and a place in the code.
using finding = std::pair<const char*, const void*>;

/// The reports so far.
class findings {
 public:
  bool is_new(const finding& f) noexcept {
    const heddle::detail::thread_lock hold(lock_);
    try {
      return all_.insert(f).second;
    } catch (const std::bad_alloc&) {
      return true;
    }
  }

 private:
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::endings};
  std::set<finding> all_ HEDDLE_GUARDED_BY(lock_);
};

void report(const char* type, const void* slot, const void* code) noexcept {
  std::array<void*, 16> frames;
  const int depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  std::fprintf(stderr,
               "heddle: a gc::ptr<%s> at %p lies in memory that the collector does not scan, and keeps nothing: use "
               "gc::root there; stored at %p (said once for that place)\n",
               type, slot, code);
  ::backtrace_symbols_fd(frames.data(), depth, STDERR_FILENO);
}

void look(void** slot, void* value, const void* code) noexcept {
  static immortal<findings> reported;
  const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(value));
  if (!b || is_scanned(slot)) return;
  if (reported.value.is_new({b.of->name, code})) report(b.of->name, slot, code);
}

}  // namespace

void look_for_misplaced() noexcept {
  the_mutators.watch([](void** slot, void* value, const void* code) noexcept {
    // With AddressSanitizer's fake frames locals lie where only a whole scan finds them: nothing can be said of any.
    if (heddle::detail::current_fake_stack() != nullptr) return;
    heddle::detail::on_home_stack([=] { look(slot, value, code); });
  });
}

}  // namespace heddle::gc::detail
