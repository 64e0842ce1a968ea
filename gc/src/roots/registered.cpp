// SPDX-License-Identifier: BSL-1.0
#include "roots/registered.hpp"

#include <pthread.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "barrier/critical.hpp"
#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/scanned_memory.hpp"
#include "heddle/detail/sharded_list.hpp"
#include "heddle/gc/detail/core.hpp"
#include "roots/suspension.hpp"

namespace heddle::gc::detail {
namespace {

constinit heddle::detail::sharded_list<root_cell> cells;

/// Before the constructors of static objects, some of which make roots and channels, or start a runtime.
[[gnu::constructor(101)]] void begin() noexcept {
  heddle::detail::scanned_memory::want();
  heddle::detail::let_through(suspension::signal_number);
  ::pthread_atfork(
      [] {
        unstoppable::begin();
        cells.lock_all();
      },
      [] {
        cells.unlock_all();
        unstoppable::end();
      },
      [] {
        cells.unlock_all();
        unstoppable::end();
      });
}

/// Addresses on their way to the sink.
class batch {
 public:
  explicit batch(root_sink& sink) noexcept : sink_(sink) {}
  void add(void* address) noexcept {
    words_[count_++] = address;
    if (count_ == words_.size()) tell();
  }
  void tell() noexcept {
    if (count_ != 0) sink_.words(words_.data(), words_.data() + count_);
    count_ = 0;
  }

 private:
  root_sink& sink_;
  std::size_t count_ = 0;
  std::array<void*, 64> words_;
};

/// The aligned words in the range.
void tell_range(void* sink, const void* from, std::size_t bytes) noexcept {
  constexpr std::uintptr_t low = sizeof(void*) - 1;
  const auto begin = reinterpret_cast<std::uintptr_t>(from);
  const std::uintptr_t first = (begin + low) & ~low, last = (begin + bytes) & ~low;
  if (first < last)
    static_cast<root_sink*>(sink)->words(reinterpret_cast<const void*>(first), reinterpret_cast<const void*>(last));
}

}  // namespace

void add_root(root_cell& c) noexcept {
  const unstoppable here;
  cells.add(c);
}

void remove_root(root_cell& c) noexcept {
  const unstoppable here;
  cells.remove(c);
}

void scan_root_cells(root_sink& sink) noexcept {
  batch some(sink);
  constexpr std::size_t most_at_once = 256;
  cells.for_each(most_at_once, [&](const root_cell& c) {
    // relaxed: an object's contents are read by the marker, which sees to their order itself.
    void* const address = __atomic_load_n(&c.address, __ATOMIC_RELAXED);
    if (address != nullptr) some.add(address);
    return std::size_t{1};
  });
  some.tell();
}

void scan_ranges(root_sink& sink) noexcept { heddle::detail::scanned_memory::for_each(tell_range, &sink); }

}  // namespace heddle::gc::detail
