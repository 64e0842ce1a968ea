// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "machine.hpp"

namespace heddle::detail {

class scheduler;

/// A kernel thread without a processor that watches the others: takes processors from machines that block or
/// do not let go, closes the gaps that the fast paths leave, and sees deadlock. It sleeps without a deadline when
/// nothing runs.
///
/// `nap_`: 0 it looks again soon; 1 it sleeps for long, and the next announced call wakes it; 2 it sleeps until a
/// processor leaves the idle list. The monitor writes 1 and 2, whoever wakes it writes 0.
/// `announced_`: 1 since the first announced call of the runtime. While it is 0 a sleep of the first kind needs no
/// barrier, which would interrupt the machines.
class monitor {
 public:
  explicit monitor(scheduler& s) noexcept : sched_(s) {}

  void start();
  void stop() noexcept;
  /// A processor has left the idle list.
  void work_begins() noexcept {
    // seq_cst: so that either this sees the deep sleep or the monitor sees the processor at work.
    if (nap_.load(std::memory_order_seq_cst) == deep) wake();
  }
  /// A blocking call begins; its machine says so already.
  void call_begins() noexcept {
    // seq_cst, all: if the monitor has found no call ever announced, then this look at the nap comes after its nap, be
    // it the first call or one that sees the first one's word. Other half in sleep().
    if (announced_.load(std::memory_order_seq_cst) == 0)
      announced_.store(1, HEDDLE_PLANTED(first_call_relaxed) ? std::memory_order_relaxed : std::memory_order_seq_cst);
    if (nap_.load(std::memory_order_seq_cst) == doze) wake();
  }
  /// A helper has fallen asleep: there may be a deadlock now.
  void helper_sleeps() noexcept { work_begins(); }
  /// Makes it look again, whatever it sleeps for.
  void wake() noexcept;

 private:
  enum : std::uint32_t { awake = 0, doze = 1, deep = 2 };
  /// What was seen of a processor at the last round.
  struct sighting {
    machine* m = nullptr;
    std::uint32_t tick = 0;
    std::uint32_t call = 0;
    nanoseconds_t since = 0;
    nanoseconds_t cpu = 0;       ///< what the machine's CPU clock showed, and when
    nanoseconds_t cpu_read = 0;  ///< 0: not yet
    void read(const platform::thread_clock& clock, nanoseconds_t now) noexcept {
      cpu = platform::cpu_time(clock);
      cpu_read = now;
    }
  };
  /// What a round has found, the worst of all processors.
  enum class sight : std::uint8_t {
    nothing,
    call,     ///< an announced call that may be short
    blocked,  ///< one whose processor was taken
  };
  void run() noexcept;
  sight round(nanoseconds_t now) noexcept;
  bool can_preempt(const machine& m) const noexcept;
  static void preempt(machine& m) noexcept;
  sight inspect(processor& p, sighting& seen, nanoseconds_t now) noexcept;
  nanoseconds_t next_interval(sight s, nanoseconds_t last) noexcept;
  void sleep(std::uint32_t how, nanoseconds_t deadline) noexcept;
  /// Ends some of the machines that are to be ended; true if there are more, or one has not ended yet.
  bool end_spare_machines(nanoseconds_t now) noexcept;
  /// Whether so many calls in a row were over before the next round that this one will hardly block either: a round
  /// costs some 70 us where it interrupts a fiber.
  bool calls_are_short() const noexcept { return short_calls_ == many_calls; }

  static constexpr unsigned many_calls = 50;
  static constexpr nanoseconds_t shortest = 400'000;       // so that an announced call is over within 1 ms
  static constexpr nanoseconds_t while_short = 2'000'000;  // or within 3 ms, the first after many short ones
  static constexpr nanoseconds_t reluctant = 800'000;      // so that a fiber for which no machine was woken waits 2 ms
  static constexpr nanoseconds_t longest = 5'000'000;      // so that an unannounced one is within 20 ms
  static constexpr nanoseconds_t memory_period = 2'000'000'000;  // what was not needed for so long is given back
  static constexpr nanoseconds_t before_deep = 50'000'000;
  // Ending a thread takes some 20 us, so a burst of hundreds is ended within a second, and nobody is held up by it.
  static constexpr std::size_t machines_at_once = 8;
  static constexpr nanoseconds_t between_machines = 10'000'000;
  static constexpr nanoseconds_t while_waiting = 200'000'000;   // for events that nobody reports
  static constexpr nanoseconds_t while_unseen = 1'000'000'000;  // the same, for one that hardly ever comes

  scheduler& sched_;
  std::vector<sighting> sightings_;
  std::size_t spare_machines_ = 0;  // still to end
  nanoseconds_t ended_some_ = 0;    // when
  bool machines_leave_ = false;
  std::uint32_t helper_sleeps_ = 0;  // the same
  std::uint32_t turns_ = 0;  // before the look for a deadlock: if there are more by the deep sleep, it is to look again
  bool main_unseen_ = false;  // nobody would report that the main thread has left
  unsigned short_calls_ = 0;
  bool someone_preemptible_ = false;  // and past a round, while others wait
  atomic<std::uint32_t> nap_{awake};
  atomic<std::uint32_t> announced_{0};
  atomic<std::uint32_t> stop_{0};
  platform::thread thread_;
};

}  // namespace heddle::detail
