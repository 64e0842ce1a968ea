// SPDX-License-Identifier: BSL-1.0
#include "cycle/help.hpp"

#include <new>

#include "barrier/handover.hpp"
#include "barrier/waits.hpp"
#include "cycle/collector.hpp"
#include "heap/immortal.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {
namespace {

namespace platform = heddle::detail::platform;

/// Objects that are marked in a slice: some 12 us if each is fetched from memory.
constexpr std::size_t slice = 400;
constexpr std::size_t at_once = 200;
/// For a thread that could not go on else.
constexpr std::size_t slice_of_debtor = 4000;

/// A marker that any thread may take, and gives back empty.
struct helper {
  helper* next = nullptr;
  marker marks{true};
};

handover<helper>& idle_helpers() noexcept {
  static immortal<handover<helper>> h;
  return h.value;
}

helper* get_helper() noexcept {
  if (helper* const h = idle_helpers().get(); h != nullptr) return h;
  void* const at = heddle::detail::collected_pages::make_tables(sizeof(helper));
  return at == nullptr ? nullptr : new (at) helper;
}

/// Until so many objects are marked, nothing waits, or wanted() has become no more than the bytes of them. Returns how
/// many are.
template <class F>
std::size_t mark_until(std::size_t most, F wanted) noexcept {
  if (!the_work_share.enter()) return 0;
  std::size_t marked = 0;
  if (helper* const h = get_helper(); h != nullptr) {
    marker& m = h->marks;
    const heddle::detail::nanoseconds_t begin = platform::now();
    m.begin();
    while (m.marked() < most && wanted() > m.marked_bytes()) {
      if (m.drain(at_once) && !m.take()) break;
      m.offer();
    }
    m.give_all();
    marked = m.marked();
    const heddle::detail::nanoseconds_t took = platform::now() - begin;
    the_pacer().note_marked(m.marked_bytes(), took);
    the_collector.note_help(marked);
    if (marked != 0) the_waits[static_cast<std::size_t>(wait_cause::assist)].add(took);
    idle_helpers().put(*h);
  }
  the_work_share.leave();
  return marked;
}

}  // namespace

void help_to_mark() noexcept {
  if (the_pacer().behind() == 0) return;
  mark_until(slice, [] { return the_pacer().behind(); });
}

bool help_to_end() noexcept {
  return mark_until(slice_of_debtor, [] { return ~std::size_t{0}; }) != 0;
}

}  // namespace heddle::gc::detail
