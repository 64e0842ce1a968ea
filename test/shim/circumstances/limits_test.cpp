// SPDX-License-Identifier: BSL-1.0
//
// The end of memory, drawn by ulimit, overcommit and cgroups: NULL and ENOMEM, and all is well once something is freed.
#define BOOST_TEST_MODULE shim_limits
#include <malloc.h>

#include <sstream>
#include <thread>

#include "shim/circumstances/memory_group.hpp"
#include "shim/circumstances/system_setting.hpp"
#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

/// Runs a program with these words and, if not empty, HEDDLE_MALLOC, after `limit` was called in its process; its words
/// are those of both streams.
template <class F>
death run(const char* program, std::vector<std::string> words, const char* options, F&& limit) {
  return fate_of([&] {
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    if (*options) ::setenv("HEDDLE_MALLOC", options, 1);
    std::vector<char*> arguments = {const_cast<char*>(program)};
    for (std::string& w : words) arguments.push_back(w.data());
    arguments.push_back(nullptr);
    limit();
    ::execv(program, arguments.data());
    ::_exit(127);
  });
}

/// Runs `exhaustion SIZE THREADS`.
template <class F>
death exhaustion(std::size_t size, int threads, F&& limit) {
  return run(HEDDLE_SHIM_EXHAUSTION, {std::to_string(size), std::to_string(threads)}, "", limit);
}

void ends_well_with(const death& how, std::size_t at_least) {
  BOOST_TEST_CONTEXT(how.text) {
    BOOST_TEST(how.signal == 0);
    BOOST_TEST(how.status == 0);
    BOOST_TEST(std::strtoul(how.text.c_str(), nullptr, 10) * KiB >= at_least);
  }
}

auto limit_to(__rlimit_resource which, std::size_t bytes) {
  return [which, bytes] {
    const rlimit limit{bytes, bytes};
    ::setrlimit(which, &limit);
  };
}

/// Bytes of a line such as "CommitLimit:" of /proc/meminfo.
std::size_t meminfo_bytes(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  std::size_t kib = 0;
  for (std::string word; file >> word;)
    if (word == name) file >> kib;
  return kib * KiB;
}

std::vector<std::size_t> block_sizes() {
  if (times(0, 1)) return {100, 5000, 100'000, 3'000'000};
  return {100, 100'000};
}
std::vector<std::size_t> limits() {
  if (times(0, 1)) return {16 * MiB, 20 * MiB, 24 * MiB, 32 * MiB, 48 * MiB, 64 * MiB, 96 * MiB, 150 * MiB, 300 * MiB};
  return {20 * MiB, 32 * MiB, 64 * MiB, 150 * MiB};
}

/// Bytes of the mappings in the text of /proc/PID/smaps that the kernel counts as committed.
std::size_t committed_bytes(const std::string& smaps) {
  std::size_t sum = 0, size = 0;
  std::istringstream lines(smaps);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("Size:", 0) == 0) size = std::strtoul(line.c_str() + 5, nullptr, 10) * KiB;
    if (line.rfind("VmFlags:", 0) == 0 && line.find(" ac") != line.npos) sum += size;
  }
  return sum;
}

/// What a process may have beyond what it starts with, in KiB: nothing at all, up to what is enough for a heap.
std::vector<std::size_t> pittances() {
  std::vector<std::size_t> kib = {0, 4, 8, 16, 32, 64, 128, 256, 512};
  for (std::size_t n = 1024; n <= 24 * 1024; n += times(0, 1) ? 256 : 2048) kib.push_back(n);
  return kib;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(the_end_of_memory)

BOOST_AUTO_TEST_CASE(address_space) {
  for (std::size_t limit : limits())
    for (std::size_t size : block_sizes()) BOOST_TEST_CONTEXT("ulimit -v " << limit / KiB << ", blocks of " << size)
  ends_well_with(exhaustion(size, 1, limit_to(RLIMIT_AS, limit)), limit < 64 * MiB ? 0 : (limit - 32 * MiB) / 3);
}

BOOST_AUTO_TEST_CASE(address_space_and_threads) {
  for (std::size_t limit : {150 * MiB, 400 * MiB})
    for (std::size_t size : block_sizes()) BOOST_TEST_CONTEXT("ulimit -v " << limit / KiB << ", blocks of " << size)
  ends_well_with(exhaustion(size, 4, limit_to(RLIMIT_AS, limit)), 0);
}

BOOST_AUTO_TEST_CASE(data_segment) {
  for (std::size_t limit : {16 * MiB, 64 * MiB, 200 * MiB})
    for (std::size_t size : block_sizes()) BOOST_TEST_CONTEXT("ulimit -d " << limit / KiB << ", blocks of " << size)
  ends_well_with(exhaustion(size, 1, limit_to(RLIMIT_DATA, limit)), limit < 64 * MiB ? 0 : limit / 4);
}

// Limits that bite when the heap begins, each drawn after the loader was done: how little there is does not depend on
// how large the program is. Whatever the options make of the beginning.
BOOST_AUTO_TEST_CASE(next_to_nothing) {
  for (const char* which : {"as", "data"})
    for (const char* options : {"", "hardened", "junk", "stats", "profile=4096,profile_file=/dev/null"})
      for (std::size_t kib : pittances()) {
        const death how = run(HEDDLE_SHIM_STARTUP, {which, std::to_string(kib)}, options, [] {});
        BOOST_TEST_CONTEXT(which << ", " << kib << " KiB, HEDDLE_MALLOC=" << options << ": " << how.text) {
          BOOST_TEST(how.signal == 0);
          BOOST_TEST(how.status == 0);
          // The statistics come first there.
          const std::size_t had = std::strtoul(how.text.c_str(), nullptr, 10);
          if (kib >= 20 * 1024 && *options == 0) BOOST_TEST(had >= 4 * KiB);
        }
      }
}

// Strictly, what is asked for counts, whether it is touched or not.
BOOST_AUTO_TEST_CASE(strict_overcommit) {
  const char* words =
      "SKIPPED: vm.overcommit_memory, which is the whole machine's, may not be set; as root, and with"
      " HEDDLE_SHIM_SYSTEM=1 in the environment, it is for a moment";
  if (!std::getenv("HEDDLE_SHIM_SYSTEM")) {
    BOOST_TEST_MESSAGE(words);
    return;
  }
  const system_setting strict("/proc/sys/vm/overcommit_memory", "2");
  if (!strict) {
    BOOST_TEST_MESSAGE(words);
    return;
  }
  // A heap that reserves address space must not have it counted as committed memory. One that begins now, since
  // ours has begun before.
  const death begun = run("/bin/cat", {"/proc/self/smaps"}, "", [] {});
  BOOST_TEST_REQUIRE(begun.says("VmFlags:"), begun.text);
  BOOST_TEST(committed_bytes(begun.text) < 32 * MiB);
  const death how = fate_of([] {
    std::vector<void*> blocks(1000);
    for (void*& p : blocks) insist((p = opaque(std::malloc(50'000))) != nullptr, "no memory under strict overcommit");
    for (void* p : blocks) std::free(p);
    // More than can be had even if nobody else had anything, and small enough to be asked of the kernel.
    const std::size_t all = meminfo_bytes("CommitLimit:");
    void* kept = opaque(std::malloc(100));
    fill(kept, 100);
    const auto refused = [](const void* p) { insist(!p && errno == ENOMEM, "more was promised than there is"); };
    for (std::size_t n : {all, all * 2, std::size_t{1} << 46}) {
      errno = 0, refused(opaque(std::malloc(n)));
      errno = 0, refused(opaque(std::calloc(n, 1)));
      errno = 0, refused(opaque(std::realloc(kept, n)));
      errno = 0, refused(opaque(::memalign(4096, n)));
      insist(holds(kept, 100), "a realloc that was refused lost bytes");
    }
    std::free(kept);
  });
  BOOST_TEST_CONTEXT(how.text) BOOST_TEST((how.signal == 0 && how.status == 0));
  for (std::size_t size : block_sizes()) BOOST_TEST_CONTEXT("strict, ulimit -v 153600, blocks of " << size)
  ends_well_with(exhaustion(size, 1, limit_to(RLIMIT_AS, 150 * MiB)), (150 - 32) * MiB / 3);
  for (const char* options : {"", "hardened"}) {
    const death start = run(HEDDLE_SHIM_STARTUP, {"data", "65536"}, options, [] {});
    BOOST_TEST_CONTEXT("strict, HEDDLE_MALLOC=" << options << ": " << start.text)
    BOOST_TEST((start.signal == 0 && start.status == 0));
  }
}

BOOST_AUTO_TEST_CASE(a_setting_goes_back_though_the_test_is_killed) {
  char file[] = "/tmp/heddle_shim_XXXXXX";
  ::close(::mkstemp(file));
  BOOST_REQUIRE(write_to(file, "0"));
  {
    const system_setting changed(file, "2");
    BOOST_TEST(static_cast<bool>(changed));
    BOOST_TEST(read_from(file) == "2");
  }
  BOOST_TEST(read_from(file) == "0");
  const death how = fate_of([&] {
    const system_setting changed(file, "2");
    insist(read_from(file) == "2", "it was not set");
    ::raise(SIGKILL);
  });
  BOOST_TEST_CONTEXT(how.text) BOOST_TEST(how.signal == SIGKILL);
  for (int i = 0; i != 1000 && read_from(file) != "0"; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  BOOST_TEST(read_from(file) == "0");
  std::filesystem::remove(file);
}

constexpr const char* no_cgroup =
    "SKIPPED: no memory cgroup can be made here (that takes root, and a hierarchy with memory)";

// Half of it in blocks. Hardened, large blocks are no part of the heap: what small ones leave there does not serve
// them, and is given back only after a while; so it is a third.
BOOST_AUTO_TEST_CASE(little_memory_in_a_cgroup) {
  for (std::size_t limit : {32 * MiB, 64 * MiB})
    for (auto [options, percent] : {std::pair{"pace=200", "50"}, {"junk,pace=200", "50"}, {"hardened,pace=200", "33"}})
      for (const char* way : {"reuse", "trim", "wait"}) {
        const memory_group group(limit);
        if (!group) {
          BOOST_TEST_MESSAGE(no_cgroup);
          return;
        }
        const death how = run(HEDDLE_SHIM_FRUGAL, {way, std::to_string(limit), group.usage_file(), percent}, options,
                              [&] { insist(group.enter(), "cannot enter the cgroup"); });
        BOOST_TEST_CONTEXT(way << ", " << limit / MiB << " MiB, HEDDLE_MALLOC=" << options << ": " << how.text) {
          BOOST_TEST(how.signal == 0);
          BOOST_TEST(how.status == 0);
        }
      }
}

// malloc() does not know of the limit: what is too much is had, and whoever touches it is killed by the kernel. That is
// so with every allocator; a program that wants NULL instead sets RLIMIT_AS or RLIMIT_DATA, or
// heddle::alloc::set_limit().
BOOST_AUTO_TEST_CASE(beyond_a_cgroup_the_kernel_kills) {
  const memory_group group(32 * MiB);
  if (!group) {
    BOOST_TEST_MESSAGE(no_cgroup);
    return;
  }
  const death how = fate_of([&] {
    insist(group.enter(), "cannot enter the cgroup");
    for (int i = 0; i != 64; ++i) {
      void* p = opaque(std::malloc(MiB));
      insist(p, "NULL came");
      std::memset(p, 1, MiB);
    }
  });
  BOOST_TEST_CONTEXT(how.text) BOOST_TEST(how.signal == SIGKILL);
}

BOOST_AUTO_TEST_SUITE_END()
