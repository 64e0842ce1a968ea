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

void mark_a_slice(marker& m) noexcept {
  m.begin();
  while (m.marked() < slice && the_pacer().behind() > m.marked_bytes()) {
    if (m.drain(at_once) && !m.take()) break;
    m.offer();
  }
  m.give_all();
}

}  // namespace

void help_to_mark() noexcept {
  if (the_pacer().behind() == 0 || !the_work_share.enter()) return;
  if (helper* const h = get_helper(); h != nullptr) {
    const heddle::detail::nanoseconds_t begin = platform::now();
    mark_a_slice(h->marks);
    const heddle::detail::nanoseconds_t took = platform::now() - begin;
    the_pacer().note_marked(h->marks.marked_bytes(), took);
    the_collector.note_help(h->marks.marked());
    if (h->marks.marked() != 0) the_waits[static_cast<std::size_t>(wait_cause::assist)].add(took);
    idle_helpers().put(*h);
  }
  the_work_share.leave();
}

}  // namespace heddle::gc::detail
