// SPDX-License-Identifier: BSL-1.0
//
// What the tests of the malloc shim share. They look at it from outside only, as any program sees it.
#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "support/death.hpp"

namespace heddle::testing {

inline constexpr std::size_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB;

/// The value, of which the compiler knows nothing: neither that it is too large, nor that nobody looks at it.
template <class T>
T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

/// The path of the shared object that serves a function; empty if nothing does.
inline std::string home_of(const char* function) {
  Dl_info found{};
  void* address = ::dlsym(RTLD_DEFAULT, function);
  return address && ::dladdr(address, &found) ? found.dli_fname : "";
}

/// Whether malloc is glibc's own: with "test/shim/under none", to see how the tests do there.
inline bool without_shim() {
  const char* wanted = std::getenv("HEDDLE_SHIM_SO");
  return wanted && std::string(wanted) == "none";
}

/// Whether HEDDLE_MALLOC asks for the mode in which every call is checked. What is freed stays out of use for a while
/// there, realloc always moves, and a block above 64 KiB is a mapping of its own: some tests expect other things then.
inline bool hardened() {
  const char* options = std::getenv("HEDDLE_MALLOC");
  return options && std::string(options).find("hardened") != std::string::npos;
}

/// How often a test repeats: `quick` by default, `full` with HEDDLE_SHIM_FULL=1 in the environment (test/run --shim).
inline int times(int quick, int full) { return std::getenv("HEDDLE_SHIM_FULL") ? full : quick; }

/// Ends the program unless malloc comes from the shared object that test/shim/under was told to preload: a preload that
/// did not take would otherwise prove glibc right.
struct preload_check {
  preload_check() {
    const char* wanted = std::getenv("HEDDLE_SHIM_SO");
    if (!wanted) fail("start this program with test/shim/under SHARED_OBJECT PROGRAM...");
    const std::string home = home_of("malloc");
    if (without_shim() ? home.find("/libc.so") == home.npos : home != wanted)
      fail("malloc is served by " + home + ", not by " + wanted);
  }

 private:
  [[noreturn]] static void fail(const std::string& words) {
    std::fprintf(stderr, "shim test: %s\n", words.c_str());
    std::exit(2);
  }
};
BOOST_TEST_GLOBAL_FIXTURE(preload_check);

/// A small generator of random numbers that allocates nothing; the same numbers in each run.
class dice {
 public:
  explicit dice(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  std::uint64_t operator()() {
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_;
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>((*this)() % n); }

 private:
  std::uint64_t state_;
};

/// A size as programs ask for them: mostly small, sometimes up to 2^largest bytes.
inline std::size_t some_size(dice& d, unsigned largest = 16) {
  return d.below(std::size_t{1} << d.below(largest + 1)) + 1;
}

/// Writes a pattern that tells of n, all over small blocks and once a page into the inside of large ones.
inline void fill(void* block, std::size_t n, unsigned char salt = 0x5a) {
  auto* bytes = static_cast<unsigned char*>(block);
  const std::size_t edge = n < 16 * KiB ? n : 4 * KiB;
  for (std::size_t i = 0; i < edge; ++i) bytes[i] = static_cast<unsigned char>(i * 7 + salt);
  for (std::size_t i = edge; i < n; i += 4 * KiB) bytes[i] = static_cast<unsigned char>((i >> 12) + salt);
  if (n > edge) bytes[n - 1] = static_cast<unsigned char>(n + salt);
}

/// Whether the first n bytes of a block that was filled as one of `filled` bytes are still as they were.
inline bool holds(const void* block, std::size_t n, std::size_t filled, unsigned char salt = 0x5a) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  const std::size_t edge = filled < 16 * KiB ? filled : 4 * KiB;
  for (std::size_t i = 0; i < edge && i < n; ++i)
    if (bytes[i] != static_cast<unsigned char>(i * 7 + salt)) return false;
  for (std::size_t i = edge; i < filled - 1 && i < n; i += 4 * KiB)
    if (bytes[i] != static_cast<unsigned char>((i >> 12) + salt)) return false;
  return filled <= edge || n < filled || bytes[filled - 1] == static_cast<unsigned char>(filled + salt);
}
inline bool holds(const void* block, std::size_t n) { return holds(block, n, n); }

/// Sizes at which allocators change their ways: all small ones, then each eighth of a power of two and its neighbours.
inline std::vector<std::size_t> boundary_sizes(std::size_t largest) {
  std::vector<std::size_t> sizes;
  for (std::size_t n = 1; n <= 1040 && n <= largest; ++n) sizes.push_back(n);
  for (std::size_t power = 1024; power < largest; power *= 2)
    for (std::size_t eighth = 8; eighth != 16; ++eighth)
      for (std::size_t n = power / 8 * eighth - 1; n <= power / 8 * eighth + 1; ++n)
        if (n > 1040 && n <= largest) sizes.push_back(n);
  return sizes;
}

/// Bytes of a line such as "VmRSS:" of /proc/self/status, read without allocating.
inline std::size_t status_bytes(const char* line) {
  char text[8192];
  const int file = ::open("/proc/self/status", O_RDONLY);
  const ssize_t n = ::read(file, text, sizeof text - 1);
  ::close(file);
  text[n > 0 ? n : 0] = 0;
  const char* found = std::strstr(text, line);
  return found ? std::strtoull(found + std::strlen(line), nullptr, 10) * KiB : 0;
}
inline std::size_t resident_bytes() { return status_bytes("VmRSS:"); }

/// For children: ends the process with these words unless the condition holds. Allocates nothing.
inline void insist(bool condition, const char* words) {
  if (condition) return;
  (void)!::write(STDERR_FILENO, words, std::strlen(words));
  ::_exit(1);
}

/// death_of(f), in which also a crash ends the child: Boost.Test's handlers would go on with the next test there.
template <class F>
death fate_of(F&& f) {
  return death_of([&] {
    for (int fatal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM}) ::signal(fatal, SIG_DFL);
    f();
  });
}

/// Runs f in a child process, which must not die of a signal nor end with another status than 0.
template <class F>
boost::test_tools::predicate_result ends_well(F&& f) {
  const death how = fate_of(f);
  boost::test_tools::predicate_result result(how.signal == 0 && how.status == 0);
  result.message() << "the child ended with signal " << how.signal << ", status " << how.status << ": " << how.text;
  return result;
}

}  // namespace heddle::testing
