// SPDX-License-Identifier: BSL-1.0
//
// net_soak [--seconds N] [--seed N]: rounds of conversations over TCP on loopback, each in a runtime of its own with
// one to four processors, while calls of the kernel are hindered at random. After each round no fiber and no descriptor
// is left, and memory stays as it was after the first rounds. A broken promise, or a round that does not end within a
// minute, ends the program, which then names the seed of the round.
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "heddle/net/serve.hpp"
#include "soak/net/conversation.hpp"
#include "soak/net/hindrance.hpp"

namespace {

using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct totals {
  unsigned long rounds = 0, whole = 0, ended = 0, hindered = 0;
  std::uint64_t bytes = 0;
};

/// The round that runs now; written before each round, read by the watchdog.
struct {
  std::atomic<unsigned long> seed{0};
  std::atomic<clock_type::rep> since{0};
} current;

unsigned long number(const char* option, const char* text) {
  unsigned long n = 0;
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, n);
  if (error == std::errc() && at == end) return n;
  std::fprintf(stderr, "net_soak: %s needs a number, not '%s'\n", option, text);
  std::exit(2);
}

void watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(100ms);
    const clock_type::time_point since{clock_type::duration(current.since.load())};
    if (current.since == 0 || clock_type::now() - since < 60s) continue;
    const heddle::statistics n = heddle::stats();
    std::fprintf(stderr, "soak: a round does not end: %zu fibers, %zu machines, %zu descriptors, %zu events\n",
                 std::size_t{n.fibers}, std::size_t{n.machines}, std::size_t{n.descriptors}, std::size_t{n.events});
    std::abort();
  }
}

void name_the_round(int) {
  std::fprintf(stderr, "reproduce with: net_soak --seconds 1 --seed %lu\n", current.seed.load());
}

std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n - 1;  // without the one that reads the directory
}

std::size_t resident_megabytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * 4 / 1024;
}

void talk_to_a_server(const soak::round& r, bool rough, totals& sum) {
  namespace net = heddle::net;
  net::tcp_listener listener = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
  soak::stopper stops(r.seed);
  soak::meeting m{.server = listener.local_endpoint(), .rough = rough, .stops = stops};
  std::stop_source stop;
  auto serving = heddle::spawn([&] {
    // As many at a time as there are clients, or fewer.
    net::serve(listener, soak::send_back, stop.get_token(), {.most_connections = 1 + r.seed % 12, .grace = 20s});
  });
  soak::work_together(r, [&](soak::dice& chance, unsigned) {
    for (unsigned i = 0; i != r.operations; ++i) soak::converse(m, soak::dice(chance.below(1u << 30)));
  });
  stop.request_stop();
  serving.join();
  sum.bytes += m.bytes;
  sum.whole += m.whole;
  sum.ended += m.ended;
}

void run_round(unsigned long seed, totals& sum) {
  current.seed = seed;
  current.since = clock_type::now().time_since_epoch().count();
  soak::dice chance(seed);
  const soak::round r{seed, 1 + chance.below(10), 0, 3 + chance.below(10)};
  const std::size_t before = open_descriptors();
  {
    const bool rough = seed % 3 == 0;
    soak::hindrance hinders(seed, rough);
    heddle::run([&] { talk_to_a_server(r, rough, sum); }, {.procs = 1 + chance.below(4)});
    sum.hindered += hinders.count();
  }
  ++sum.rounds;
  soak::require(heddle::stats().fibers == 0, "no fiber is left");
  soak::require(sum.rounds == 1 || open_descriptors() == before, "no descriptor is left");  // the poller's stay
}

}  // namespace

int main(int argc, char** argv) {
  unsigned long seconds = 600;
  unsigned long seed = 1;
  const bool marked = argc > 1 && std::strcmp(argv[1], "--") == 0;  // as test programs are told that options follow
  for (int i = marked ? 2 : 1; i < argc; i += 2) {
    const bool is_seconds = std::strcmp(argv[i], "--seconds") == 0;
    if ((!is_seconds && std::strcmp(argv[i], "--seed") != 0) || i + 1 == argc) {
      std::fprintf(stderr, "usage: net_soak [--seconds N] [--seed N]; default: 600 seconds from seed 1\n");
      return 2;
    }
    (is_seconds ? seconds : seed) = number(argv[i], argv[i + 1]);
  }
  std::signal(SIGABRT, name_the_round);
  const std::jthread watchdog(watch);
  const auto begin = clock_type::now(), end = begin + std::chrono::seconds(seconds);
  const auto warm = begin + std::min<std::chrono::seconds>(1min, std::chrono::seconds(seconds / 2));
  totals sum;
  std::size_t first = 0;
  for (; clock_type::now() < end || first == 0; ++seed) {
    run_round(seed, sum);
    if (first == 0 && clock_type::now() >= warm) first = resident_megabytes();
  }
  const std::size_t last = resident_megabytes();
  std::printf(
      "%lu rounds, %lu conversations to the end, %lu ended before, %lu MB, %lu calls hindered; %zu MB resident, "
      "%zu at the end\n",
      sum.rounds, sum.whole, sum.ended, static_cast<unsigned long>(sum.bytes >> 20), sum.hindered, first, last);
  soak::require(last <= first + first / 4 + 16, "memory stays as it is");
  return 0;
}
