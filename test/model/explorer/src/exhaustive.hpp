// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "strategy.hpp"

namespace model::detail {

/// Depth-first search over every decision within the bounds of the options: preemptions, stale
/// reads and the budgets of the rare events. A thread that blocks or spins is followed by any other
/// at no cost (a spinner by the next one round; by another one as if it were a preemption, so that
/// the tree stays finite). Source of the bound: M. Musuvathi, S. Qadeer, "Iterative Context
/// Bounding", PLDI 2007.
class exhaustive final : public explorer {
 public:
  explicit exhaustive(const options& o) noexcept : explorer(o), left_(o.executions) {}
  exhaustive(const options& o, const std::string& path);

  bool begin() override;
  unsigned pick(thread_set candidates, unsigned current, bool yielded) override;
  unsigned choose(choice kind, unsigned n) override;
  std::int64_t tick() override { return 500; }
  std::string reproduce() const override;
  bool complete() const override { return complete_; }

 private:
  struct decision {
    std::uint16_t taken;
    std::uint16_t of;
  };

  bool advance() noexcept;
  unsigned decide(unsigned n);
  unsigned decide_bounded(unsigned n);

  std::uint64_t left_;
  bool replay_ = false;
  bool first_ = true;
  bool complete_ = false;
  unsigned preemptions_ = 0;
  std::size_t depth_ = 0;
  std::vector<decision> path_;
};

}  // namespace model::detail
