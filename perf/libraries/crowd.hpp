// SPDX-License-Identifier: BSL-1.0
//
// Many clients of one server, each of which waits for its answer before it asks again, at once or after a pause, by a
// library that knows nothing of fibers. Beside them somebody sleeps a millisecond at a time, and notes how late it
// wakes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/bench.hpp"
#include "common/cpu_time.hpp"
#include "common/net/latencies.hpp"

namespace perf::libraries {

/// Where the server is, as test/net/servers/with says it.
inline std::string server() {
  const char* const where = std::getenv("HEDDLE_TEST_SERVER");
  require(where != nullptr, "HEDDLE_TEST_SERVER does not name the server: see test/net/servers/with");
  return where;
}

/// State that all clients of a program share. Library: connects when it is constructed; ask() waits for an answer, and
/// checks it. Workers: start(f) runs f beside others, join() awaits them, sleep(t) lets the caller sleep.
template <class Library, class Workers>
class crowd {
 public:
  explicit crowd(const arguments& args)
      : clients_(args["connections"]),
        pause_(args["pause_ms"] * 1'000),
        warm_up_(args["warm_up_ms"]),
        measuring_(args["ms"]),
        times_(clients_) {}

  void run(report& to) {
    Workers workers;
    for (std::uint64_t i = 0; i != clients_; ++i) workers.start([this, i] { ask_again_and_again(i); });
    while (connected_ != clients_) Workers::sleep(std::chrono::milliseconds(1));
    phase_ = phase::warming_up;
    Workers::sleep(warm_up_);
    workers.start([this] { beat(); });
    const double began = now(), used = cpu_seconds();
    phase_ = phase::measuring;
    Workers::sleep(measuring_);
    phase_ = phase::over;
    const double seconds = (now() - began) / 1e9, cpu = cpu_seconds() - used;
    workers.join();
    tell(to, seconds, cpu);
  }

 private:
  enum class phase { connecting, warming_up, measuring, over };

  void ask_again_and_again(std::uint64_t number) {
    std::vector<double>& times = times_[number];
    Library connection(server());
    ++connected_;
    while (phase_ == phase::connecting) Workers::sleep(std::chrono::milliseconds(20));
    Workers::sleep(pause_ * number / clients_);  // not all at once
    for (;;) {
      const double asked = now();
      connection.ask();
      const phase p = phase_;
      if (p == phase::over) return;
      if (p == phase::measuring) times.push_back(now() - asked);
      if (pause_.count() != 0) Workers::sleep(pause_);
    }
  }

  void beat() {
    constexpr std::chrono::milliseconds pause(1);
    while (phase_ != phase::over) {
      const double due = now() + 1e6;
      Workers::sleep(pause);
      beats_.add(now() - due);
    }
  }

  void tell(report& to, double seconds, double cpu) const {
    net::latencies all;
    for (const auto& one : times_)
      for (const double t : one) all.add(t);
    require(all.count() > 0, "no query was answered");
    const auto queries = static_cast<double>(all.count());
    to.add("rate_k", queries / seconds / 1e3);
    for (const auto& [name, quantile] : net::quantiles) to.add(name, all.at(quantile) / 1e3);
    to.add("cpu_us", cpu * 1e6 / queries);
    to.add("busy_percent", cpu / seconds * 100);
    to.add("beat_50_us", beats_.at(0.5) / 1e3);
    to.add("beat_99_us", beats_.at(0.99) / 1e3);
  }

  const std::uint64_t clients_;
  const std::chrono::microseconds pause_;
  const std::chrono::milliseconds warm_up_, measuring_;
  std::atomic<std::uint64_t> connected_{0};
  std::atomic<phase> phase_{phase::connecting};
  std::vector<std::vector<double>> times_;
  net::latencies beats_;
};

inline arguments parse(int argc, char** argv) {
  return {argc, argv, {{"connections", 1'000}, {"pause_ms", 0}, {"ms", 3'000}, {"warm_up_ms", 500}}};
}

}  // namespace perf::libraries
