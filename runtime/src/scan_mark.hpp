// SPDX-License-Identifier: BSL-1.0
//
// How a collector's thread and the machines keep apart over a fiber whose stack is to be scanned, without anything on
// the way of a machine but the comparison of two bytes.
//
// `scan_epoch` counts the scans of all stacks. A fiber's mark holds the epoch in which the fiber was last scanned, and
// a hold of the collector's, if any; without a hold, scanned in this epoch and not frozen, it equals `scan_epoch`.
//
// 1. The collector claims fibers, executes a heavy barrier, and then looks at their states. A machine stores `running`
//    first and then compares the mark. So a fiber that looks suspended is not resumed by a machine that overlooks the
//    claim.
// 2. A claim may be taken away by the machine that resumes the fiber: it is not scanned this time. A firm one may not:
//    the machine waits.
// 3. While the fiber is scanned, the machine waits until that is over.
// 4. `parked` is stored a moment before the fiber is off its stack, within the critical section of the machine it
// leaves.
//    So the collector waits, between its look at the states and the scan, until each machine has been seen outside of
//    its critical section, or at home.
// 5. A new fiber has its maker's epoch: what a scanned fiber gives it is known, what an unscanned one gives it is not.
// 6. Only the collector sets holds. A maker overwrites the mark of a free block; a scan of it then comes to nothing.
// 7. A fiber is frozen if it has been scanned after the pages of its stack were protected (watched_stacks.hpp), and has
//    not been resumed since. A frozen mark never equals `scan_epoch`, so the machine that resumes the fiber comes to
//    resume_unscanned(), and takes that away before the fiber runs.
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// Two bits of a mark.
enum class scan_hold : std::uint8_t {
  none = 0,
  claimed = 1,  ///< to be scanned, unless a machine resumes it before
  firm = 2,     ///< to be scanned; a machine that is about to resume it waits
  scanned = 3,  ///< is being scanned
};

class scan_mark {
 public:
  // --- machines -------------------------------------------------------------------------------------------------
  /// Called after the state `running` has been stored: whether the fiber may run at once.
  bool equals(const atomic<std::uint8_t>& epoch) const noexcept {
#if (defined(HEDDLE_MODEL) && HEDDLE_MODEL) || defined(HEDDLE_TSAN)
    platform::light_barrier();  // `running` before the look; heavy half in the collector
    // acquire: so that a scan that is over has read what the fiber changes now; release half in end().
    return byte_.load(std::memory_order_acquire) == epoch.load(std::memory_order_relaxed);
#else
    // The same; compilers make twice as many instructions of it.
    bool differs = false;
    std::uint8_t now = 0;
    asm volatile(
        "movb %[epoch], %[now]\n\t"
        "cmpb %[byte], %[now]"
        : "=@ccne"(differs), [now] "=&q"(now)
        : [epoch] "m"(epoch), [byte] "m"(byte_)
        : "memory");
    return !differs;
#endif
  }
  /// Takes a claim away, and thaws the fiber; false: the fiber is being scanned, or is going to be.
  bool try_resume() noexcept {
    std::uint8_t now = byte_.load(std::memory_order_acquire);  // acquire: as in equals()
    while (hold_in(now) == scan_hold::claimed || (hold_in(now) == scan_hold::none && thaws(now)))
      // acquire: as in equals(), for the value of a failure; no order may be weaker for a success.
      if (byte_.compare_exchange_weak(now, epoch_in(now), std::memory_order_acquire, std::memory_order_acquire))
        return true;
    return hold_in(now) == scan_hold::none || HEDDLE_PLANTED(resumes_while_scanned);
  }
  /// The fiber counts as scanned in this epoch, if nobody has a hold of it.
  void settle(std::uint8_t epoch) noexcept {
    // acquire: as in equals(). No load, which might be of a value from before the end of the last scan.
    std::uint8_t now = byte_.fetch_or(0, std::memory_order_acquire);
    while (hold_in(now) == scan_hold::none && !(HEDDLE_PLANTED(runs_frozen) && (now & frozen) != 0) &&
           // acquire: as in equals(), for the value of a failure; no order may be weaker for a success.
           !byte_.compare_exchange_weak(now, epoch, std::memory_order_acquire, std::memory_order_acquire)) {
    }
  }
  /// Of a new fiber, before anybody knows it.
  void begin_with(std::uint8_t epoch) noexcept { byte_.store(epoch, std::memory_order_relaxed); }
  std::uint8_t epoch() const noexcept { return epoch_in(byte_.load(std::memory_order_relaxed)); }
  scan_hold hold() const noexcept {
    return hold_in(byte_.load(std::memory_order_acquire));  // acquire: as in equals()
  }

  bool is_frozen() const noexcept { return (byte_.load(std::memory_order_relaxed) & frozen) != 0; }

  // --- the collector --------------------------------------------------------------------------------------------
  void claim(scan_hold how) noexcept {
    std::uint8_t now = byte_.load(std::memory_order_relaxed);
    while (!byte_.compare_exchange_weak(now, with(now, how), std::memory_order_relaxed, std::memory_order_relaxed)) {
    }
  }
  void let_go() noexcept {
    std::uint8_t now = byte_.load(std::memory_order_relaxed);
    // release: of a firm claim, as in end().
    while (hold_in(now) != scan_hold::none &&
           !byte_.compare_exchange_weak(now, epoch_in(now), std::memory_order_release, std::memory_order_relaxed)) {
    }
  }
  /// False if the claim has been taken away. Else the fiber stays as it is until end().
  bool begin() noexcept {
    std::uint8_t now = byte_.load(std::memory_order_relaxed);
    if (HEDDLE_PLANTED(scans_without_claim)) return true;
    while (hold_in(now) == scan_hold::claimed || hold_in(now) == scan_hold::firm)
      if (byte_.compare_exchange_weak(now, with(now, scan_hold::scanned), std::memory_order_relaxed,
                                      std::memory_order_relaxed))
        return true;
    return false;
  }
  /// `freezes`: the fiber counts as frozen from now on; else it does not.
  void end(std::uint8_t epoch, bool freezes) noexcept {
    if (freezes) epoch |= frozen;
    std::uint8_t now = byte_.load(std::memory_order_relaxed);
    // release: so that the fiber changes nothing before it has been read; acquire half in equals().
    while (hold_in(now) == scan_hold::scanned &&
           !byte_.compare_exchange_weak(
               now, epoch, HEDDLE_PLANTED(scan_ends_relaxed) ? std::memory_order_relaxed : std::memory_order_release,
               std::memory_order_relaxed)) {
    }
  }

  /// A frozen one, of a scan before: forgets which, since epochs come again.
  void keep_frozen() noexcept {
    std::uint8_t now = byte_.load(std::memory_order_relaxed);
    while (hold_in(now) == scan_hold::none && (now & frozen) != 0 && now != frozen &&
           !byte_.compare_exchange_weak(now, frozen, std::memory_order_relaxed, std::memory_order_relaxed)) {
    }
  }

  static constexpr unsigned hold_bits = 2;
  /// The epochs: 0, in which nothing has been scanned yet, and then these, round and round.
  static constexpr std::uint8_t after(std::uint8_t epoch) noexcept {
    const unsigned next = (unsigned{epoch} >> hold_bits) % 31 + 1;
    return static_cast<std::uint8_t>(next << hold_bits);
  }

 private:
  static constexpr std::uint8_t bits = (1U << hold_bits) - 1;
  static constexpr scan_hold hold_in(std::uint8_t byte) noexcept { return static_cast<scan_hold>(byte & bits); }
  static constexpr std::uint8_t frozen = 128;
  static constexpr bool thaws(std::uint8_t byte) noexcept {
    return (byte & frozen) != 0 && !HEDDLE_PLANTED(runs_frozen);
  }
  static constexpr std::uint8_t epoch_in(std::uint8_t byte) noexcept {
    return byte & static_cast<std::uint8_t>(~(bits | frozen));
  }
  static constexpr std::uint8_t with(std::uint8_t byte, scan_hold how) noexcept {
    return static_cast<std::uint8_t>((byte & ~unsigned{bits}) | static_cast<std::uint8_t>(how));
  }
  atomic<std::uint8_t> byte_{0};
};

}  // namespace heddle::detail
