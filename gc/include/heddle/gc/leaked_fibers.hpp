// SPDX-License-Identifier: BSL-1.0
//
// Fibers that nothing can wake any more.
#pragma once

#include <string>
#include <vector>

#include "heddle/detail/config.hpp"
#include "heddle/fiber.hpp"

namespace heddle::gc {

/// A fiber that waits for ever.
struct leaked_fiber {
  fiber_id id;
  std::string name;                ///< empty if it has none
  std::string type;                ///< of the collected object in which the primitive lies
  std::vector<std::string> where;  ///< the functions in which it stands, the innermost first, as backtrace_symbols()
                                   ///< has them; empty under sanitizers
};

/// Fibers that wait, without a deadline or a stop token, at a channel, mutex or other primitive which is a member of a
/// collected object that nothing reaches, but fibers which wait so themselves: what Go calls leaked goroutines. In a
/// select all its channels are such. As the last cycle that looked has found them: one of collect(), or each with
/// HEDDLE_GC=leaks. Each is reported on stderr, too, once.
///
///     struct line { heddle::channel<int> numbers; };
///     heddle::go({.name = "reader"}, [l = heddle::gc::make<line>()] { (void)l->numbers.receive(); });
///     heddle::gc::collect();
///     for (const auto& f : heddle::gc::leaked_fibers()) std::puts(f.name.c_str());   // reader
///
/// Nothing happens to them, and what their stacks hold is kept. Fibers that wait at primitives in other memory, or that
/// join one of these, are not found. gc::weak and gc::ephemeron_map do not count as reaching: by one of them a fiber
/// that is named here may still be woken; then later looks do not name it.
///
/// O(fibers named, and their frames). Throws std::bad_alloc. From fibers and plain threads.
/// Source: Go's profile of leaked goroutines (proposal 74609), by V. Saioc, I.-T. Chow and others.
HEDDLE_EXPORT std::vector<leaked_fiber> leaked_fibers();

}  // namespace heddle::gc
