// SPDX-License-Identifier: BSL-1.0
//
// sync_soak [--seconds N] [--seed N]: rounds of random operations on everything of sync, by fibers and plain threads,
// with deadlines and stop requests among them, on one to four processors; each round checks what the primitives
// promise. A broken promise, or a round that does not end within a minute, ends the program, which then names the seed
// of the round.
#include <charconv>
#include <csignal>
#include <cstring>

#include "scenarios.hpp"

namespace {

using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct scenario {
  const char* name;
  void (*run)(const soak::round&);
  unsigned long rounds = 0;
};

unsigned long number(const char* option, const char* text) {
  unsigned long n = 0;
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, n);
  if (error == std::errc() && at == end) return n;
  std::fprintf(stderr, "sync_soak: %s needs a number, not '%s'\n", option, text);
  std::exit(2);
}

/// What runs now; written before each round, read by the watchdog.
struct {
  std::atomic<const char*> name{nullptr};
  std::atomic<unsigned long> seed{0};
  std::atomic<clock_type::rep> since{0};
} current;

/// Ends the program if a round takes too long: a wake was lost.
void watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(100ms);
    const clock_type::time_point since{clock_type::duration(current.since.load())};
    if (current.since == 0 || clock_type::now() - since < 60s) continue;
    std::fprintf(stderr, "soak: a round of %s does not end\n", current.name.load());
    std::abort();
  }
}

void name_the_round(int) {
  std::fprintf(stderr, "reproduce with: sync_soak --seconds 1 --seed %lu (%s)\n", current.seed.load(),
               current.name.load());
}

void run_round(scenario& s, unsigned long seed) {
  current.name = s.name;
  current.seed = seed;
  current.since = clock_type::now().time_since_epoch().count();
  soak::dice chance(seed);
  const unsigned procs = 1 + chance.below(4);
  const soak::round r{seed, 1 + chance.below(12), chance.below(4), 20 + chance.below(200)};
  heddle::run([&] { s.run(r); }, {.procs = procs});
  ++s.rounds;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned long seconds = 600;
  unsigned long seed = 1;
  for (int i = 1; i < argc; i += 2) {
    const bool is_seconds = std::strcmp(argv[i], "--seconds") == 0;
    if ((!is_seconds && std::strcmp(argv[i], "--seed") != 0) || i + 1 == argc) {
      std::fprintf(stderr, "usage: sync_soak [--seconds N] [--seed N]; default: 600 seconds from seed 1\n");
      return 2;
    }
    (is_seconds ? seconds : seed) = number(argv[i], argv[i + 1]);
  }
  std::signal(SIGABRT, name_the_round);
  scenario all[] = {{"locks", soak::locks},       {"buffer", soak::buffer},     {"permits", soak::permits},
                    {"phases", soak::phases},     {"promises", soak::promises}, {"once", soak::once},
                    {"channels", soak::channels}, {"groups", soak::groups}};
  const std::jthread watchdog(watch);
  const auto end = clock_type::now() + std::chrono::seconds(seconds);
  for (; clock_type::now() < end; ++seed) run_round(all[seed % std::size(all)], seed);
  for (const scenario& s : all) std::printf("%-10s %lu rounds\n", s.name, s.rounds);
  return 0;
}
