// SPDX-License-Identifier: BSL-1.0
//
// The end of memory, drawn by ulimit, overcommit and cgroups: NULL and ENOMEM, and all is well once something is freed.
#define BOOST_TEST_MODULE shim_limits
#include <malloc.h>

#include <filesystem>
#include <fstream>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

/// Runs `exhaustion SIZE THREADS` after `limit` was called in its process; its words are those of both streams.
template <class F>
death exhaustion(std::size_t size, int threads, F&& limit) {
  const std::string words[] = {std::to_string(size), std::to_string(threads)};
  return fate_of([&] {
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    limit();
    ::execl(HEDDLE_SHIM_EXHAUSTION, "exhaustion", words[0].c_str(), words[1].c_str(), nullptr);
    ::_exit(127);
  });
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

/// Writes a word to a file of the system; false if that is not allowed.
bool write_to(const std::filesystem::path& file, const std::string& word) {
  std::ofstream out(file);
  out << word << std::flush;
  return static_cast<bool>(out);
}

std::string read_from(const std::filesystem::path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

std::vector<std::size_t> block_sizes() {
  if (times(0, 1)) return {100, 5000, 100'000, 3'000'000};
  return {100, 100'000};
}
std::vector<std::size_t> limits() {
  if (times(0, 1)) return {32 * MiB, 48 * MiB, 64 * MiB, 96 * MiB, 150 * MiB, 300 * MiB};
  return {32 * MiB, 64 * MiB, 150 * MiB};
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
  for (std::size_t size : block_sizes()) BOOST_TEST_CONTEXT("ulimit -d 65536, blocks of " << size)
  ends_well_with(exhaustion(size, 1, limit_to(RLIMIT_DATA, 64 * MiB)), 16 * MiB);
}

BOOST_AUTO_TEST_CASE(strict_overcommit) {
  const char* mode = "/proc/sys/vm/overcommit_memory";
  const std::string before = read_from(mode);
  if (!std::getenv("HEDDLE_SHIM_SYSTEM") || !write_to(mode, "2")) {
    BOOST_TEST_MESSAGE(
        "SKIPPED: vm.overcommit_memory, which is the whole machine's, may not be set; as root, and with"
        " HEDDLE_SHIM_SYSTEM=1 in the environment, it is for a moment");
    return;
  }
  // A heap that reserves address space must not have it counted as committed memory.
  const death how = fate_of([] {
    std::vector<void*> blocks(1000);
    for (void*& p : blocks) insist((p = opaque(std::malloc(50'000))) != nullptr, "no memory under strict overcommit");
    for (void* p : blocks) std::free(p);
    errno = 0;
    void* all = opaque(std::malloc(std::size_t{1} << 46));
    insist(!all && errno == ENOMEM, "64 TiB were promised");
  });
  write_to(mode, before);
  BOOST_TEST_CONTEXT(how.text) BOOST_TEST((how.signal == 0 && how.status == 0));
}

// Beyond a cgroup's limit the kernel kills, NULL never comes: what is tested is that freed memory leaves the account.
BOOST_AUTO_TEST_CASE(cgroup) {
  const bool unified = std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers");
  const std::filesystem::path group =
      (unified ? "/sys/fs/cgroup/heddle_shim_" : "/sys/fs/cgroup/memory/heddle_shim_") + std::to_string(::getpid());
  std::error_code error;
  std::filesystem::create_directory(group, error);
  if (error || !write_to(group / (unified ? "memory.max" : "memory.limit_in_bytes"), std::to_string(100 * MiB))) {
    std::filesystem::remove(group, error);
    BOOST_TEST_MESSAGE("SKIPPED: no memory cgroup can be made here");
    return;
  }
  const death how = fate_of([&] {
    insist(write_to(group / "cgroup.procs", std::to_string(::getpid())), "cannot enter the cgroup");
    for (std::size_t size : {std::size_t{1000}, 50 * KiB, 3 * MiB}) {  // each size fills more than half
      std::vector<void*> blocks(60 * MiB / size);
      for (void*& p : blocks) insist((p = opaque(std::malloc(size))) != nullptr, "no block"), std::memset(p, 1, size);
      for (void* p : blocks) std::free(p);
      ::malloc_trim(0);
    }
  });
  std::filesystem::remove(group, error);
  BOOST_TEST_CONTEXT(how.text) BOOST_TEST((how.signal == 0 && how.status == 0));
}

BOOST_AUTO_TEST_SUITE_END()
