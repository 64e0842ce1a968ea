// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/detail/connect_any.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "heddle/condition_variable.hpp"
#include "heddle/fiber.hpp"

namespace heddle::net::detail {
namespace {

using clock = std::chrono::steady_clock;

/// One call of connect_any() that needs more than one attempt.
class race {
  struct stopper {
    race* of;
    void operator()() const noexcept { of->ending_.request_stop(); }
  };

 public:
  explicit race(const wait_bounds& b)
      : bounds_(b), on_stop_(b.stop != nullptr ? *b.stop : stop_token(), stopper{this}) {}
  race(const race&) = delete;
  race& operator=(const race&) = delete;

  tcp_stream run(std::span<const endpoint> addresses, std::chrono::nanoseconds delay,
                 std::vector<failed_attempt>& failures) {
    failures_.reserve(addresses.size());
    {
      std::vector<join_handle<void>> attempts;  // ends when they have ended
      const stopper unless_won{this};
      attempts.reserve(addresses.size());
      try {
        begin_all(addresses, delay, attempts);
      } catch (...) {
        unless_won();
        throw;
      }
    }
    failures = std::move(failures_);
    return std::move(winner_);
  }

 private:
  void begin_all(std::span<const endpoint> addresses, std::chrono::nanoseconds delay,
                 std::vector<join_handle<void>>& attempts) {
    for (const endpoint& to : addresses) {
      std::unique_lock hold(lock_);
      const std::size_t failed = failures_.size();
      attempts.push_back(spawn([this, to] { attempt(to); }));
      const nanoseconds_t next = deadline_after(delay);
      changed_.wait_until(hold, token_, clock::time_point(std::chrono::nanoseconds(next)),
                          [&] { return failures_.size() != failed; });
      if (ending_.stop_requested() || over(bounds_)) return;
    }
  }

  io::limits limits_of_attempt() const noexcept {
    if (bounds_.deadline == no_deadline) return {token_};
    return {clock::time_point(std::chrono::nanoseconds(bounds_.deadline)), token_};
  }

  void attempt(const endpoint& to) noexcept {
    std::error_code error;
    tcp_stream s;
    try {
      s = tcp_stream::connect(to, limits_of_attempt(), error);
    } catch (const std::bad_alloc&) {
      error = std::make_error_code(std::errc::not_enough_memory);
    }
    std::unique_lock hold(lock_);
    if (error) {
      failures_.push_back({to, error});
      changed_.notify_one();
    } else if (!winner_) {
      winner_ = std::move(s);
      hold.unlock();
      ending_.request_stop();
    }
  }

  const wait_bounds bounds_;
  std::stop_source ending_;  ///< somebody has won, or the caller has been stopped
  const stop_token token_ = ending_.get_token();
  mutex lock_;
  condition_variable changed_;
  tcp_stream winner_;                     ///< under the lock
  std::vector<failed_attempt> failures_;  ///< the same; has room for all
  const stop_callback<stopper> on_stop_;  // last: what it calls is there before
};

/// RFC 8305, 5: the recommended delay between attempts.
constexpr std::chrono::milliseconds delay_of_dial{250};

}  // namespace

std::vector<endpoint> by_turns(const std::vector<endpoint>& addresses) {
  std::vector<endpoint> result = addresses;
  if (result.empty()) return result;
  const int first = result.front().family();
  const auto others =
      std::stable_partition(result.begin(), result.end(), [first](const endpoint& e) { return e.family() == first; });
  const auto split = others - result.begin();
  const std::vector<endpoint> by_family = std::exchange(result, {});
  auto a = by_family.begin(), b = by_family.begin() + split;
  while (a != by_family.begin() + split || b != by_family.end()) {
    if (a != by_family.begin() + split) result.push_back(*a++);
    if (b != by_family.end()) result.push_back(*b++);
  }
  return result;
}

tcp_stream connect_any(std::span<const endpoint> addresses, const io::limits& l, std::chrono::nanoseconds delay,
                       std::vector<failed_attempt>& failures, std::error_code& ec) {
  failures.clear();
  tcp_stream s;
  if (addresses.size() == 1) {
    s = tcp_stream::connect(addresses.front(), l, ec);
    if (ec) failures.push_back({addresses.front(), ec});
    return s;
  }
  s = race(l.bounds()).run(addresses, delay, failures);
  ec = s ? std::error_code() : failures.back().error;
  if (s) failures.clear();
  return s;
}

tcp_stream dial(resolver& r, std::string_view host, std::string_view service, const io::limits& l,
                std::vector<failed_attempt>& failures, std::error_code& ec) {
  failures.clear();
  const std::vector<endpoint> addresses = r.resolve(host, service, l, ec);
  if (ec) return {};
  return connect_any(by_turns(addresses), l, delay_of_dial, failures, ec);
}

}  // namespace heddle::net::detail
