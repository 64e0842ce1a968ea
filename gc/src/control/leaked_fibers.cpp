// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/leaked_fibers.hpp"

#include <execinfo.h>

#include <cstdlib>
#include <memory>

#include "cycle/leaks.hpp"

namespace heddle::gc {

namespace {

std::vector<std::string> symbols_of(const detail::leak& l) {
  const std::unique_ptr<char*, void (*)(void*)> symbols(::backtrace_symbols(l.frames.data(), static_cast<int>(l.depth)),
                                                        std::free);
  if (symbols == nullptr) return {};
  return {symbols.get(), symbols.get() + l.depth};
}

}  // namespace

std::vector<leaked_fiber> leaked_fibers() {
  std::vector<leaked_fiber> all;
  for (const detail::leak& l : detail::the_leaks().sure())
    all.push_back({fiber_id(l.fiber), l.name, l.type, symbols_of(l)});
  return all;
}

}  // namespace heddle::gc
