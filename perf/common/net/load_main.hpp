// SPDX-License-Identifier: BSL-1.0
//
// The measurements that a program of clients makes: rate and latencies, a counted number of requests, a long rest.
#pragma once

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include "common/bench.hpp"
#include "common/net/load.hpp"
#include "common/net/process_watch.hpp"

namespace perf::net {

/// The options of a program of clients; --server is the process whose time and memory are looked at. --count: so many
/// requests on each connection instead of --ms; --rest_ms: rest so long instead.
inline arguments load_arguments(int argc, char** argv) {
  return arguments(
      argc, argv,
      {{"port", 0}, {"size", 64}, {"connections", 1}, {"warm_ms", 300}, {"server", 1}, {"count", 0}, {"rest_ms", 0}});
}

template <class Load>
void report_times(const Load& clients, report& report) {
  for (const auto& [name, quantile] : quantiles) report.add(name, clients.times().at(quantile) / 1e3);
}

template <class Load>
void measure_rate(Load& clients, const arguments& args, report& report) {
  const process_watch server(static_cast<pid_t>(args["server"])), own(::getpid());
  clients.run_for(static_cast<double>(args["warm_ms"]) * 1e6);
  const double server_before = server.seconds(), own_before = own.seconds();
  const double began = now();
  const double wanted = static_cast<double>(args["ms"]) * 1e6;
  const auto answers = static_cast<double>(clients.run_for(wanted));
  const double elapsed = now() - began;  // longer by the last answers
  require(answers > 0, "no answer came in time");
  report.add("rate_k", answers / wanted * 1e6);
  report_times(clients, report);
  report.add("server_cpu_us", (server.seconds() - server_before) / static_cast<double>(clients.times().count()) * 1e6);
  report.add("load_busy_percent", (own.seconds() - own_before) / elapsed * 1e11);
  report.add("rss_mib", static_cast<double>(server.resident()) / (1 << 20));
}

/// For a driver that counts the system calls of the server: says that the clients rest, and waits for a line before
/// they begin, and before they go.
template <class Load>
void count_requests(Load& clients, const arguments& args, report& report) {
  clients.run_count(1);
  std::cout << "ready" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  report.add("requests", static_cast<double>(clients.run_count(args["count"])));
  report.print();
  std::fflush(stdout);
  std::getline(std::cin, line);
}

/// Memory and time of connections at rest, and how soon one of them is answered after that.
template <class Load>
void rest(Load& clients, const arguments& args, std::uint64_t resident_before, report& report) {
  const process_watch server(static_cast<pid_t>(args["server"]));
  clients.run_count(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // what is left to do for those requests
  const double before = server.seconds();
  const double began = now();
  std::this_thread::sleep_for(std::chrono::milliseconds(args["rest_ms"]));
  report.add("rest_cpu_percent", (server.seconds() - before) / (now() - began) * 1e11);
  const auto grown = static_cast<double>(server.resident()) - static_cast<double>(resident_before);
  report.add("rest_bytes", grown / static_cast<double>(clients.connections()));
  clients.run_singly(1);
  report.add("first_us", clients.times().at(1) / 1e3);
  clients.run_singly(1'000);
  report.add("single_p99_us", clients.times().at(0.99) / 1e3);
}

template <class Protocol>
int load_main(const arguments& args, Protocol protocol) {
  const std::uint64_t resident = args["rest_ms"] > 0 ? process_watch(static_cast<pid_t>(args["server"])).resident() : 0;
  load<Protocol> clients(std::move(protocol), args["connections"], static_cast<std::uint16_t>(args["port"]));
  clients.run_singly(1);  // a protocol may learn from it
  report report;
  if (args["count"] > 0) {
    count_requests(clients, args, report);
    return 0;
  }
  args["rest_ms"] > 0 ? rest(clients, args, resident, report) : measure_rate(clients, args, report);
  report.print();
  return 0;
}

}  // namespace perf::net
