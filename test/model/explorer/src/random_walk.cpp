// SPDX-License-Identifier: BSL-1.0
#include "random_walk.hpp"

#include <algorithm>
#include <bit>

namespace model::detail {
namespace {

unsigned nth_member(thread_set set, unsigned n) noexcept {
  while (n-- != 0) set &= set - 1;
  return static_cast<unsigned>(std::countr_zero(set));
}

}  // namespace

bool random_walk::begin() {
  if (left_ == 0) return false;
  --left_;
  ++number_;
  if (!exact_) seed_ = random_source(options_.seed + (number_ << 20)).next() >> 16;
  pct_ = options_.strategy == strategy::pct || (options_.strategy == strategy::mixed && number_ % 2 == 0);
  random_ = random_source(seed_);
  refill();
  switch_one_in_ = 1U << random_.below(5);
  stale_one_in_ = 2U << random_.below(4);
  timeout_one_in_ = 8U << random_.below(6);
  step_ = 0;
  next_fall_ = patience;
  bottom_ = 0;
  if (!exact_ && longest_ != 0) length_ = longest_;
  draw_change_points();
  return true;
}

void random_walk::draw_change_points() {
  change_points_.clear();
  if (!pct_) return;
  for (unsigned i = 1; i < options_.depth; ++i) change_points_.push_back(1 + random_.next() % length_);
  std::sort(change_points_.rbegin(), change_points_.rend());  // the next one last
}

void random_walk::end(std::uint64_t steps) { longest_ = std::max(longest_, steps); }

void random_walk::created(unsigned thread) { priority_[thread] = static_cast<std::int64_t>(random_.next() >> 32) + 1; }

void random_walk::spins(unsigned thread) { priority_[thread] = --bottom_; }

unsigned random_walk::pick_by_priority(thread_set candidates) const noexcept {
  unsigned best = static_cast<unsigned>(std::countr_zero(candidates));
  for (candidates &= candidates - 1; candidates != 0; candidates &= candidates - 1) {
    const auto t = static_cast<unsigned>(std::countr_zero(candidates));
    if (priority_[t] > priority_[best]) best = t;
  }
  return best;
}

unsigned random_walk::pick(thread_set candidates, unsigned current, bool yielded) {
  ++step_;
  const bool may_stay = !yielded && (candidates >> current & 1) != 0;
  const auto n = static_cast<unsigned>(std::popcount(candidates));
  if (pct_) {
    bool falls = step_ >= next_fall_;
    while (!change_points_.empty() && change_points_.back() <= step_) {
      change_points_.pop_back();
      falls = true;
    }
    if (falls) {
      priority_[current] = --bottom_;
      next_fall_ = step_ + patience;
    }
    return pick_by_priority(candidates);
  }
  if (n == 1) return static_cast<unsigned>(std::countr_zero(candidates));
  if (may_stay && !random_.one_in(switch_one_in_)) return current;
  return nth_member(candidates, random_.below(n));
}

bool random_walk::happens(choice kind) noexcept {
  switch (kind) {
    case choice::read: return random_.one_in(stale_one_in_);
    case choice::stale_failure: return random_.one_in(8);
    case choice::weak_failure: return random_.one_in(8);
    case choice::spurious_wake: return random_.one_in(16);
    case choice::early_timeout: return random_.one_in(timeout_one_in_);
    case choice::thread_failure: return random_.one_in(4);
    case choice::late_store: return random_.one_in(8);
    case choice::waiter: return true;
    case choice::count: break;
  }
  return false;
}

unsigned random_walk::choose(choice kind, unsigned n) {
  if (!affordable(kind) || !happens(kind)) return 0;
  spend(kind);
  if (kind == choice::waiter) return random_.below(n);
  return n == 2 ? 1 : 1 + random_.below(n - 1);
}

std::int64_t random_walk::tick() { return static_cast<std::int64_t>(random_.next() & 0x3ff); }

std::string random_walk::reproduce() const {
  std::string text = pct_ ? "strategy=pct" : "strategy=random";
  text += ",seed=" + std::to_string(seed_);
  if (pct_) text += ",length=" + std::to_string(length_);
  return text;
}

}  // namespace model::detail
