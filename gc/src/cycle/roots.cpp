// SPDX-License-Identifier: BSL-1.0
#include "cycle/roots.hpp"

#include <cstdio>
#include <cstdlib>
#include <new>

#include "heap/immortal.hpp"
#include "roots/exceptions.hpp"
#include "roots/globals.hpp"
#include "roots/registered.hpp"
#include "roots/stacks.hpp"
#include "roots/thread_locals.hpp"

namespace heddle::gc::detail {
namespace {

thread_locals& locals() noexcept {
  static immortal<thread_locals> l;
  return l.value;
}

bool scan_locals(root_sink& sink, pthread_t thread) noexcept { return locals().scan(sink, thread); }

void visit_static_roots(marker& m) noexcept {
  m.reach_from("gc::root");
  scan_root_cells(m);
  m.reach_from("a channel, a future or a fiber-local variable");
  scan_ranges(m);
  m.reach_from("a variable with static storage");
  scan_globals(m);
}

}  // namespace

std::size_t visit_roots(marker& m, leak_look* look, standing_fibers standing, bool verifies) noexcept {
  visit_static_roots(m);
  try {
    if (!locals().is_current()) locals().refresh();
  } catch (const std::bad_alloc&) {
    std::fputs("heddle: out of memory: the collector cannot learn where thread-local variables are\n", stderr);
    std::abort();
  }
  if (look != nullptr) scan_exceptions(m);  // what they lead to is reached, whoever waits
  if (m.leaves_trail()) m.drain();  // a caller of explain() has the address on its stack: other reasons come first
  m.reach_from("a stack, a register, a thread-local variable or what a fiber begins with");
  const std::size_t passed_over = scan_stacks(m, scan_locals, look, standing, verifies);
  m.reach_from("an exception");
  scan_exceptions(m);
  return passed_over;
}

}  // namespace heddle::gc::detail
