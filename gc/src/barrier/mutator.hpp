// SPDX-License-Identifier: BSL-1.0
//
// A thread that uses the collected heap, as the collector sees it. The collector changes the phase of all of them
// without stopping any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heap/cache.hpp"
#include "heddle/gc/detail/count_words.hpp"
#include "roots/threads.hpp"

namespace heddle::gc::detail {

/// Bits of mutator_state::armed. 0: nothing to do beside storing and allocating.
namespace armed_bits {
inline constexpr std::uint8_t marking = 1;  ///< stores are told of; new objects are black
inline constexpr std::uint8_t closed = 2;   ///< the collector is at the mutator's data: wait
inline constexpr std::uint8_t unknown = 4;  ///< the thread has no mutator yet
/// With `marking`: stacks are being scanned. A stack that has not been may be the only one to hold an address, and give
/// it to an object that has been gone through, or to a stack that has been scanned: so new values are told of, too.
inline constexpr std::uint8_t inserting = 8;
/// For debugging, for ever: each store is looked at.
inline constexpr std::uint8_t watched = 16;
}  // namespace armed_bits

/// The words of a thread that its fast paths and the collector share.
///
/// A thread raises `critical`, reads `armed`, does what that says, and lowers `critical`. The collector writes `armed`,
/// executes heavy_barrier(), and waits until it has seen `critical` low: from then on nothing is done that an older
/// value of `armed` has allowed.
struct mutator_state {
  // Code outside of the library uses them by their offsets, the first three one by one and in pairs: see armed() in
  // barrier.hpp, and count_call in count_words.hpp.
  atomic<std::uint8_t> armed{armed_bits::unknown};
  /// Not 0: stores write cards. Set before the cycle that is the first to leave marks.
  atomic<std::uint8_t> notes{0};
  /// Not 0: `inserting`, `unknown` or `watched` is in `armed`, or is about to be.
  atomic<std::uint8_t> inserts{1};
  atomic<std::uint8_t> critical{0};
  /// For counted pointers (detail/count_words.hpp): tells the thread's own objects from others. 0: it has none yet, or
  /// is closed; what would be fast enters like all else then.
  atomic<std::uint32_t> count_base{0};
  count_shelf* shelves = nullptr;  ///< free blocks for counted objects; null if count_base has never been set

  /// Returns the bits to heed from here to leave().
  std::uint8_t enter() noexcept {
    if (HEDDLE_PLANTED(gc_enters_late)) {
      const std::uint8_t bits = armed.load(std::memory_order_acquire);  // acquire: as below
      critical.store(1, std::memory_order_relaxed);
      return bits;
    }
    critical.store(1, std::memory_order_relaxed);
    heddle::detail::platform::light_barrier();  // the store above before the load below; heavy half in
                                                // mutators::close()
    // acquire: so that what the collector did to the mutator's data is seen; release half in mutators::open().
    return armed.load(std::memory_order_acquire);
  }
  void leave() noexcept {
    // release: so that the collector sees what was done to the data; acquire half in mutators::await().
    critical.store(0, HEDDLE_PLANTED(gc_leaves_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
  }
};

/// Addresses that a mutator tells the marker of.
struct shade_buffer {
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t capacity = 3;
#else
  static constexpr std::size_t capacity = 510;
#endif
  shade_buffer* next = nullptr;
  std::size_t count = 0;
  const void* addresses[capacity];
};

/// Addresses that a mutator has told of in this cycle: some of the last ones. A program that goes on storing over the
/// same objects need not tell of each of them again and again.
class told_addresses {
 public:
  /// False: it is among them. Afterwards it is.
  bool add(const void* p) noexcept {
    const void*& place = last_[reinterpret_cast<std::uintptr_t>(p) / 16 % places];
    if (place == p) return false;
    place = p;
    return true;
  }
  void clear() noexcept { last_ = {}; }

 private:
  static constexpr std::size_t places = 64;
  std::array<const void*, places> last_{};
};

class count_ledger;

struct mutator {
  mutator_state* state = nullptr;
  shade_buffer* shades = nullptr;  ///< made when it is needed
  told_addresses told;
  cache blocks;
  std::size_t taken = 0;                       ///< bytes allocated that the pacer does not know of yet
  heddle::detail::nanoseconds_t noted_at = 0;  ///< when the pacer was told last; 0: not yet
  thread_registration thread;                  ///< its stack is a root
  std::uint32_t count_base = 0;                ///< state->count_base while it is open
  count_ledger* ledger = nullptr;              ///< of counted objects; null: none yet
  void (*end_counting)(mutator&) noexcept = nullptr;
  mutator* next = nullptr;
  mutator* previous = nullptr;
};

}  // namespace heddle::gc::detail
