// SPDX-License-Identifier: BSL-1.0
#include "watched_stacks.hpp"

#include <algorithm>
#include <new>

#include "page_watch.hpp"
#include "scheduler.hpp"

namespace heddle::detail {
namespace {

const char* page_around(const void* p) noexcept {
  return static_cast<const char*>(p) - reinterpret_cast<std::uintptr_t>(p) % page_size;
}
std::size_t whole_pages(std::size_t bytes) noexcept { return (bytes + page_size - 1) / page_size * page_size; }
bool has(const std::vector<std::uint64_t>& bits, std::size_t i) noexcept { return (bits[i / 64] >> i % 64 & 1) != 0; }
void set(std::vector<std::uint64_t>& bits, std::size_t i) noexcept { bits[i / 64] |= std::uint64_t{1} << i % 64; }

}  // namespace

void stack_pool::watch(std::vector<watched_range>& out) {
  const thread_lock hold(lock_);
  for (reservation& r : reservations_) {
    const char* const end = r.base + r.bytes == end_ ? cursor_ : r.base + r.bytes;
    if (r.stride > watched_stacks::widest_stride || end == r.base) continue;
    if (r.watched != page_watch::era() && !page_watch::watch(r.base, whole_pages(r.bytes))) continue;
    r.watched = page_watch::era();
    out.push_back({r.base, whole_pages(static_cast<std::size_t>(end - r.base))});
  }
}

void scheduler::watch_stacks(std::vector<watched_range>& out) {
  const thread_lock hold(pools_lock_);
  for (const auto& pool : pools_) pool->watch(out);
}

void watched_stacks::begin(scheduler* s) noexcept {
  areas_.clear();
  last_ = 0;
  if (s == nullptr || !page_watch::begin()) return;
  try {
    std::vector<watched_range> all;
    s->watch_stacks(all);
    std::sort(all.begin(), all.end(), [](const watched_range& a, const watched_range& b) { return a.at < b.at; });
    for (const watched_range& r : all) {
      const std::size_t words = (r.bytes / page_size + 63) / 64;
      area a{r.at, r.bytes, bits(words), bits(words)};
      const auto note_written = [](void* to, const char* from, const char* end) {
        area& in = *static_cast<area*>(to);
        for (; from < end; from += page_size) set(in.written, static_cast<std::size_t>(from - in.at) / page_size);
      };
      if (!page_watch::for_each_written(r.at, r.bytes, note_written, &a)) return areas_.clear();
      areas_.push_back(std::move(a));
    }
  } catch (const std::bad_alloc&) {
    areas_.clear();  // all are scanned
  }
}

const watched_stacks::area* watched_stacks::find(const char* p) const noexcept {
  const auto holds = [p](const area& a) { return static_cast<std::uintptr_t>(p - a.at) < a.bytes; };
  if (last_ < areas_.size() && holds(areas_[last_])) return &areas_[last_];
  const auto after =
      std::upper_bound(areas_.begin(), areas_.end(), p, [](const char* at, const area& a) { return at < a.at; });
  if (after == areas_.begin() || !holds(*std::prev(after))) return nullptr;
  last_ = static_cast<std::size_t>(std::prev(after) - areas_.begin());
  return &areas_[last_];
}

template <class F>
bool watched_stacks::all_of(const void* from, const void* to, F f) const noexcept {
  const area* const a = find(static_cast<const char*>(from));
  if (a == nullptr || to <= from || static_cast<const char*>(to) > a->at + a->bytes) return false;
  const std::size_t last = static_cast<std::size_t>(static_cast<const char*>(to) - 1 - a->at) / page_size;
  for (std::size_t i = static_cast<std::size_t>(static_cast<const char*>(from) - a->at) / page_size; i <= last; ++i)
    if (!f(*a, i)) return false;
  return true;
}

bool watched_stacks::is_unchanged(const void* from, const void* to) const noexcept {
  return all_of(from, to, [](const area& a, std::size_t i) {
    return !has(a.written, i) || HEDDLE_PLANTED(parked_stack_skipped_though_written);
  });
}

bool watched_stacks::is_protected(const void* from, const void* to) const noexcept {
  return all_of(from, to, [](const area& a, std::size_t i) { return !has(a.written, i) || has(a.guarded, i); });
}

void watched_stacks::note(const void* from, const void* to) noexcept {
  if (find(static_cast<const char*>(from)) == nullptr) return;
  try {
    for (const char* p = page_around(from); p < to; p += page_size) noted_.push_back(p);
  } catch (const std::bad_alloc&) {
    // It is not protected, and not frozen.
  }
}

void watched_stacks::protect() noexcept {
  std::sort(noted_.begin(), noted_.end());
  const char* from = nullptr;
  const char* to = nullptr;
  const auto flush = [&] {
    if (from != to) page_watch::protect(from, static_cast<std::size_t>(to - from));
  };
  for (const char* p : noted_) {
    auto* const a = const_cast<area*>(find(p));
    if (a == nullptr) continue;
    const auto i = static_cast<std::size_t>(p - a->at) / page_size;
    if (!has(a->written, i) || has(a->guarded, i)) continue;
    set(a->guarded, i);
    if (p != to) {
      flush();
      from = p;
    }
    to = p + page_size;
  }
  flush();
  noted_.clear();
}

}  // namespace heddle::detail
