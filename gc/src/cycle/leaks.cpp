// SPDX-License-Identifier: BSL-1.0
#include "cycle/leaks.hpp"

#include <execinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <new>

#include "cycle/collector.hpp"
#include "heap/immortal.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;

namespace {

const leak* find(const std::vector<leak>& all, const leak& l) noexcept {
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const leak& o) { return o.fiber == l.fiber && o.place == l.place; });
  return at == all.end() ? nullptr : &*at;
}

void report(const leak& l) noexcept {
  const char* const quote = l.name.empty() ? "" : "\"";
  std::fprintf(stderr,
               "heddle: fiber %llu%s%s%s%s waits for ever: nothing reaches the object that it waits at (%s, at %p) but "
               "fibers that wait so\n",
               static_cast<unsigned long long>(l.fiber), l.name.empty() ? "" : " ", quote, l.name.c_str(), quote,
               l.type, l.place);
  ::backtrace_symbols_fd(l.frames.data(), static_cast<int>(l.depth), STDERR_FILENO);
}

}  // namespace

leak_list& the_leaks() noexcept {
  static immortal<leak_list> l;
  return l.value;
}

void leak_list::replace(std::vector<leak> found) noexcept {
  constexpr std::size_t most = 100;
  std::size_t n = 0;
  const thread_lock hold(lock_);
  for (leak& l : found) {
    const leak* const before = find(found_, l);
    l.twice = before != nullptr;
    if (l.twice && !before->twice && ++n <= most) report(l);
  }
  if (n > most) std::fprintf(stderr, "... and %zu more\n", n - most);
  found_ = std::move(found);
}

bool leak_list::has_unsure() noexcept {
  const thread_lock hold(lock_);
  return std::any_of(found_.begin(), found_.end(), [](const leak& l) { return !l.twice; });
}

std::vector<leak> leak_list::sure() {
  const thread_lock hold(lock_);
  std::vector<leak> all;
  std::copy_if(found_.begin(), found_.end(), std::back_inserter(all), [](const leak& l) { return l.twice; });
  return all;
}

void leak_list::after_fork_in_child() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  lock_.become_free();
  found_.clear();
}

// --- a look ---------------------------------------------------------------------------------------------------------

bool leak_search::is_unreached(const void* place) noexcept {
  const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(place));
  return b && b.is_allocated() && !b.is_marked();
}

void leak_search::note_put_off(const heddle::detail::fiber& f, const void* place) noexcept {
  if (!last_pass_) return;
  try {
    leak l;
    l.fiber = heddle::detail::id_of(f);
    if (const char* const name = heddle::detail::name_of(f); name != nullptr) l.name = name;
    l.place = place;
    l.type = the_regions.find(reinterpret_cast<std::uintptr_t>(place)).of->name;
    l.depth = heddle::detail::frames_of(f, l.frames.data(), l.frames.size());
    found_.push_back(std::move(l));
  } catch (const std::bad_alloc&) {
    // The next look finds it again.
  }
}

void leak_search::reach_all() noexcept { collector_.reach_all(); }

}  // namespace heddle::gc::detail
