// SPDX-License-Identifier: BSL-1.0
#include "exhaustive.hpp"

#include <bit>
#include <sstream>

#include "scheduler.hpp"

namespace model::detail {
namespace {

/// The n-th member, counted round from `start`.
unsigned nth_from(thread_set set, unsigned start, unsigned n) noexcept {
  for (unsigned i = 0;; ++i) {
    const unsigned t = (start + i) % max_threads;
    if ((set >> t & 1) != 0 && n-- == 0) return t;
  }
}

}  // namespace

/// `path` lists the decisions other than 0: "step:taken/step:taken".
exhaustive::exhaustive(const options& o, const std::string& path) : explorer(o), left_(1), replay_(true) {
  std::istringstream in(path);
  for (std::string item; std::getline(in, item, '/');) {
    const auto colon = item.find(':');
    const auto step = static_cast<std::size_t>(std::stoull(item));
    if (path_.size() <= step) path_.resize(step + 1, decision{0, 0});
    path_[step].taken = static_cast<std::uint16_t>(std::stoul(item.substr(colon + 1)));
  }
}

bool exhaustive::begin() {
  if (left_ == 0 || complete_) return false;
  if (!first_ && !advance()) return false;
  --left_;
  first_ = false;
  depth_ = 0;
  preemptions_ = 0;
  refill();
  return true;
}

/// To the next leaf. False: that was the last.
bool exhaustive::advance() noexcept {
  while (!path_.empty() && path_.back().taken + 1 >= path_.back().of) path_.pop_back();
  complete_ = path_.empty();
  if (complete_) return false;
  ++path_.back().taken;
  return true;
}

unsigned exhaustive::decide(unsigned n) {
  if (n == 1) return 0;
  if (depth_ == path_.size()) path_.push_back({0, static_cast<std::uint16_t>(n)});
  decision& d = path_[depth_++];
  if (replay_) {
    d.of = static_cast<std::uint16_t>(n);
    if (d.taken >= n) d.taken = 0;
  }
  if (d.of != n) scheduler::get().fail("the program is not deterministic: an earlier decision had other alternatives");
  return d.taken;
}

unsigned exhaustive::decide_bounded(unsigned n) {
  if (preemptions_ >= options_.preemptions) return 0;
  const unsigned taken = decide(n);
  if (taken != 0) ++preemptions_;
  return taken;
}

unsigned exhaustive::pick(thread_set candidates, unsigned current, bool yielded) {
  const auto n = static_cast<unsigned>(std::popcount(candidates));
  if (n == 1) return static_cast<unsigned>(std::countr_zero(candidates));
  if (yielded) return nth_from(candidates, current + 1, decide_bounded(n));
  if ((candidates >> current & 1) != 0) return nth_from(candidates, current, decide_bounded(n));
  return nth_from(candidates, current + 1, decide(n));
}

unsigned exhaustive::choose(choice kind, unsigned n) {
  if (!affordable(kind)) return 0;
  const unsigned taken = decide(n);
  if (taken != 0) spend(kind);
  return taken;
}

std::string exhaustive::reproduce() const {
  std::string text = "strategy=exhaustive,path=";
  bool first = true;
  for (std::size_t i = 0; i < path_.size() && i < depth_; ++i) {
    if (path_[i].taken == 0) continue;
    if (!first) text += '/';
    first = false;
    text += std::to_string(i) + ':' + std::to_string(path_[i].taken);
  }
  return text;
}

}  // namespace model::detail
