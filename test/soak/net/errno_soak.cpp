// SPDX-License-Identifier: BSL-1.0
//
// errno_soak [--calls N] [--seconds N]: calls of heddle::blocking_calls whose errors are known, by a hundred fibers on
// two processors: ten million, or as many as there is time for. One that finds another errno ends the program.
#include <charconv>
#include <chrono>
#include <cstring>

#include "net/blocking_calls/known_errors.hpp"

namespace {

long number(const char* option, const char* text) {
  long n = 0;
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, n);
  if (error == std::errc() && at == end && n > 0) return n;
  std::fprintf(stderr, "errno_soak: %s needs a number, not '%s'\n", option, text);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  long calls = 10'000'000, seconds = 600;
  const bool marked = argc > 1 && std::strcmp(argv[1], "--") == 0;  // as test programs are told that options follow
  for (int i = marked ? 2 : 1; i < argc; i += 2) {
    const bool is_calls = std::strcmp(argv[i], "--calls") == 0;
    if ((!is_calls && std::strcmp(argv[i], "--seconds") != 0) || i + 1 == argc) {
      std::fprintf(stderr,
                   "usage: errno_soak [--calls N] [--seconds N]; default: 10000000 calls, 600 seconds at most\n");
      return 2;
    }
    (is_calls ? calls : seconds) = number(argv[i], argv[i + 1]);
  }
  constexpr int fibers = 100, each = 1'000, rare = 32;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  long made = 0;
  while (made < calls && std::chrono::steady_clock::now() < end) {
    if (const long wrong = known_errors::wrong_errors(2, fibers, each, rare); wrong != 0) {
      std::fprintf(stderr, "errno_soak: %ld of %d calls had another errno\n", wrong, fibers * each);
      return 1;
    }
    made += fibers * each;
  }
  std::printf("%ld calls with the errno that they should have\n", made);
  return 0;
}
