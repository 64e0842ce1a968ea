// SPDX-License-Identifier: BSL-1.0
#include "memory/pipe.hpp"

#include <cstring>

namespace heddle::net::detail {
namespace {

/// If more are under way the last two travel together.
constexpr std::size_t most_parts = 64;

}  // namespace

pipe::pipe(const memory_options& o, std::uint64_t seed)
    : capacity_(std::max<std::size_t>(o.buffer, 1)),
      latency_(std::max<nanoseconds_t>(o.latency.count(), 0)),
      jitter_(std::max<nanoseconds_t>(o.jitter.count(), 0)),
      short_reads_(o.short_reads),
      short_writes_(o.short_writes),
      bytes_(new std::byte[capacity_]),
      travelling_(seed),
      reading_(seed + 1),
      writing_(seed + 2) {
  under_way_.reserve(most_parts);
}

nanoseconds_t pipe::arrival(nanoseconds_t now) noexcept {
  nanoseconds_t takes = latency_;
  if (jitter_ != 0) takes += static_cast<nanoseconds_t>(travelling_.below(static_cast<std::uint64_t>(jitter_) + 1));
  return last_arrival_ = std::max(last_arrival_, heddle::detail::later_by(now, takes));
}

void pipe::put(const std::byte* from, std::size_t n, nanoseconds_t now) noexcept {
  const std::size_t at = (first_ + size_) % capacity_;
  const std::size_t before_wrap = std::min(n, capacity_ - at);
  std::memcpy(bytes_.get() + at, from, before_wrap);
  std::memcpy(bytes_.get(), from + before_wrap, n - before_wrap);
  size_ += n;
  const nanoseconds_t then = arrival(now);
  if (under_way_.size() == most_parts || (!under_way_.empty() && under_way_.back().arrives_at == then)) {
    under_way_.back().bytes += n;
    under_way_.back().arrives_at = then;
  } else {
    under_way_.push_back({n, then});
  }
}

void pipe::end(nanoseconds_t now) noexcept {
  if (end_at_ == no_deadline) end_at_ = HEDDLE_PLANTED(memory_end_overtakes) ? now : arrival(now);
}

void pipe::clear() noexcept {
  size_ = arrived_ = 0;
  under_way_.clear();
}

std::size_t pipe::arrived(nanoseconds_t now) noexcept {
  auto first = under_way_.begin();
  for (; first != under_way_.end() && first->arrives_at <= now; ++first) arrived_ += first->bytes;
  under_way_.erase(under_way_.begin(), first);
  return arrived_;
}

void pipe::take(std::byte* to, std::size_t n) noexcept {
  const std::size_t before_wrap = std::min(n, capacity_ - first_);
  std::memcpy(to, bytes_.get() + first_, before_wrap);
  std::memcpy(to + before_wrap, bytes_.get(), n - before_wrap);
  first_ = (first_ + n) % capacity_;
  size_ -= n;
  arrived_ -= n;
  taken_ += n;
}

nanoseconds_t pipe::next_arrival() const noexcept {
  return under_way_.empty() ? end_at_ : under_way_.front().arrives_at;
}

}  // namespace heddle::net::detail
