// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "strategy.hpp"

namespace model::detail {

/// Random schedules of two kinds, each execution from a seed of its own.
///
/// random: go on with the same thread, or with a probability drawn per execution switch to any
/// other. pct: the runnable thread of highest priority runs. Priorities are random; at depth-1
/// random points the running thread falls to the bottom. Finds a bug that needs d ordering
/// constraints among n threads and k steps with probability at least 1/(n k^(d-1)). Source: S.
/// Burckhardt, P. Kothari, M. Musuvathi, S. Nagarakatte, "A Randomized Scheduler with Probabilistic
/// Guarantees of Finding Bugs", ASPLOS 2010.
class random_walk final : public explorer {
 public:
  explicit random_walk(const options& o) noexcept : explorer(o), left_(o.executions) {}
  /// One execution: the one of this seed. `length` is what pct took for the length of an execution.
  random_walk(const options& o, std::uint64_t seed, std::uint64_t length) noexcept
      : explorer(o), left_(1), exact_(true), seed_(seed), length_(length != 0 ? length : first_length) {}

  bool begin() override;
  void end(std::uint64_t steps) override;
  unsigned pick(thread_set candidates, unsigned current, bool yielded) override;
  unsigned choose(choice kind, unsigned n) override;
  void created(unsigned thread) override;
  void spins(unsigned thread) override;
  std::int64_t tick() override;
  std::string reproduce() const override;

 private:
  static constexpr std::uint64_t first_length = 50;
  /// Even pct must not let a thread starve the rest: after so many steps whoever runs falls to the
  /// bottom.
  static constexpr std::uint64_t patience = 1000;

  void draw_change_points();
  unsigned pick_by_priority(thread_set candidates) const noexcept;
  bool happens(choice kind) noexcept;

  std::uint64_t left_;
  bool exact_ = false;
  std::uint64_t number_ = 0;  // of the execution
  std::uint64_t seed_ = 0;    // of the execution
  std::uint64_t length_ = first_length;
  std::uint64_t longest_ = 0;
  random_source random_;
  bool pct_ = false;

  // Drawn for each execution, so that some are eager and some are lazy.
  unsigned switch_one_in_ = 1;
  unsigned stale_one_in_ = 2;
  unsigned timeout_one_in_ = 64;

  std::uint64_t step_ = 0;
  std::uint64_t next_fall_ = 0;
  std::int64_t priority_[max_threads] = {};
  std::int64_t bottom_ = 0;
  std::vector<std::uint64_t> change_points_;
};

}  // namespace model::detail
