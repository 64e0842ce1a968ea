// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clock.hpp"
#include "model/model.hpp"

namespace model::detail {

/// What is left to the strategy besides the next thread. Alternative 0 is always the ordinary
/// thing.
enum class choice : std::uint8_t {
  read,            ///< how many messages back a load reads
  stale_failure,   ///< a compare_exchange fails on an outdated value
  weak_failure,    ///< compare_exchange_weak fails for no reason
  spurious_wake,   ///< futex_wait returns for no reason
  early_timeout,   ///< the earliest deadline is reached while others still run
  thread_failure,  ///< a thread cannot be started
  late_store,      ///< how many messages before the newest a store is ordered
  waiter,          ///< which of the sleepers a futex_wake wakes
  count
};

/// A set of threads, one bit each.
using thread_set = std::uint32_t;
static_assert(max_threads <= 32);

/// splitmix64 (G. Steele, D. Lea, C. Flood, 2014): every seed is a good one.
class random_source {
 public:
  explicit random_source(std::uint64_t seed = 0) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned n) noexcept { return static_cast<unsigned>(((next() >> 32) * n) >> 32); }
  bool one_in(unsigned n) noexcept { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// Takes part in each decision of the memory.
class chooser {
 public:
  /// One of n alternatives.
  virtual unsigned choose(choice kind, unsigned n) = 0;

 protected:
  ~chooser() = default;
};

/// Decides everything that is not determined in an execution.
///
/// 1. The decisions of an execution depend on reproduce() alone, given a deterministic program.
/// 2. choose() never exceeds the execution's budget of a kind.
class explorer : public chooser {
 public:
  explicit explorer(const options& o) noexcept : options_(o) {}
  virtual ~explorer() = default;
  explorer(const explorer&) = delete;
  explorer& operator=(const explorer&) = delete;

  /// Prepares the next execution; false: there is none.
  virtual bool begin() = 0;
  virtual void end(std::uint64_t steps) { (void)steps; }
  /// The next of `candidates` (never empty). `current` may go on if it is one of them and did not
  /// yield.
  virtual unsigned pick(thread_set candidates, unsigned current, bool yielded) = 0;
  virtual void created(unsigned thread) { (void)thread; }
  /// The caller spins: others go first.
  virtual void spins(unsigned thread) { (void)thread; }
  /// How far the clock moves from one look at it to the next.
  virtual std::int64_t tick() = 0;
  /// The value of HEDDLE_MODEL that leads to this execution again.
  virtual std::string reproduce() const = 0;
  virtual bool complete() const { return false; }

 protected:
  void refill() noexcept;
  bool spend(choice kind) noexcept;
  bool affordable(choice kind) const noexcept { return budget_[static_cast<unsigned>(kind)] != 0; }

  options options_;

 private:
  std::array<unsigned, static_cast<unsigned>(choice::count)> budget_{};
};

std::unique_ptr<explorer> make_explorer(const options& o);
/// For the one execution that `reproduce` names. `max_steps=n` in it overrides the option, to stop
/// earlier.
std::unique_ptr<explorer> make_replay(options& o, const std::string& reproduce);

}  // namespace model::detail
