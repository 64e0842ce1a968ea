// SPDX-License-Identifier: BSL-1.0
#include "heddle/heap_profile.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "heddle/alloc.hpp"
#include "support/leak_check.hpp"

namespace {

namespace alloc = heddle::alloc;
namespace profile = heddle::alloc::profile;

constexpr std::size_t interval = 64 << 10;

struct totals {
  double live = 0, live_bytes = 0, all = 0, all_bytes = 0;  ///< of what there was, as pprof scales it
  std::size_t samples = 0, lines = 0;
  bool has_maps = false;
};

totals read_profile() {
  std::FILE* const file = std::tmpfile();
  BOOST_TEST(profile::write(::fileno(file)));
  std::rewind(file);
  totals t;
  char line[8192];
  std::size_t live = 0, live_bytes = 0, all = 0, all_bytes = 0, rate = 0;
  BOOST_REQUIRE(std::fgets(line, sizeof line, file) != nullptr);
  BOOST_TEST(std::sscanf(line, "heap profile: %zu: %zu [%zu: %zu] @ heap_v2/%zu", &live, &live_bytes, &all, &all_bytes,
                         &rate) == 5);
  BOOST_TEST(rate == interval);
  t.samples = all;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, " %zu: %zu [%zu: %zu] @", &live, &live_bytes, &all, &all_bytes) == 4) {
      const double size = static_cast<double>(all_bytes) / static_cast<double>(all);
      const double scale = 1 / (1 - std::exp(-size / static_cast<double>(interval)));
      t.live += static_cast<double>(live) * scale;
      t.live_bytes += static_cast<double>(live_bytes) * scale;
      t.all += static_cast<double>(all) * scale;
      t.all_bytes += static_cast<double>(all_bytes) * scale;
      ++t.lines;
    }
    if (std::string(line) == "MAPPED_LIBRARIES:\n") t.has_maps = std::fgets(line, sizeof line, file) != nullptr;
  }
  std::fclose(file);
  return t;
}

std::vector<void*> allocate(std::size_t n, std::size_t size) {
  std::vector<void*> all(n);
  for (void*& p : all) p = alloc::allocate(size);
  return all;
}

void free_all(const std::vector<void*>& all) {
  for (void* p : all) alloc::deallocate(p);
}

/// Five times the standard deviation, of a number of samples.
bool near(double value, double right, double bytes) {
  return std::abs(value / right - 1) < 5 / std::sqrt(bytes / static_cast<double>(interval));
}

struct running {
  running() { BOOST_TEST(profile::start(interval)); }
  ~running() { profile::stop(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(heap_profile, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(it_estimates_what_is_in_use_and_what_was_allocated) {
  for (const std::size_t size : {16, 112, 1024, 20480, 262144, 3 << 20}) {
    const std::size_t n = (64 << 20) / size;
    const double bytes = static_cast<double>(n * size);
    const running on;
    const std::vector<void*> kept = allocate(n, size);
    free_all(allocate(n, size));
    const totals t = read_profile();
    BOOST_TEST(near(t.live_bytes, bytes, bytes), size << ": " << t.live_bytes << " of " << bytes);
    BOOST_TEST(near(t.all_bytes, 2 * bytes, 2 * bytes), size << ": " << t.all_bytes << " of " << 2 * bytes);
    BOOST_TEST(t.has_maps);
    free_all(kept);
    BOOST_TEST(read_profile().live == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_block_that_is_freed_at_once_is_sampled_too) {
  alloc::deallocate(alloc::allocate(112));  // its cache has some already
  const running on;
  for (int i = 0; i < 1'000'000; ++i) alloc::deallocate(alloc::allocate(112));
  const totals t = read_profile();
  BOOST_TEST(near(t.all, 1e6, 112e6), t.all);
  BOOST_TEST(t.live == 0);
}

BOOST_AUTO_TEST_CASE(what_is_sampled_may_be_freed_by_its_size) {
  const running on;
  for (const std::size_t size : {1, 24, 112, 1024, 20480, 262144, 1 << 20})
    for (std::size_t n = (16 << 20) / size / 8 + 64; n != 0; --n) alloc::deallocate(alloc::allocate(size), size);
  const totals t = read_profile();
  BOOST_TEST(t.all > 0);
  BOOST_TEST(t.live == 0);
}

BOOST_AUTO_TEST_CASE(huge_blocks_that_move_are_followed) {
  const running on;
  void* p = alloc::allocate(8 << 20);
  for (std::size_t size = 16 << 20; size <= 128 << 20; size *= 2) {
    p = alloc::reallocate(p, size);
    BOOST_TEST(read_profile().live_bytes == static_cast<double>(size));
  }
  alloc::deallocate(p);
  BOOST_TEST(read_profile().live == 0);
}

BOOST_AUTO_TEST_CASE(blocks_may_be_freed_elsewhere_and_after_the_end) {
  const std::size_t in_use = alloc::get_statistics().in_use();
  std::vector<void*> all;
  {
    const running on;
    std::thread([&] { all = allocate(100'000, 200); }).join();
    std::thread([&] { free_all(std::vector<void*>(all.begin(), all.begin() + 50'000)); }).join();
    BOOST_TEST(near(read_profile().live, 5e4, 5e4 * 208));
  }
  free_all(std::vector<void*>(all.begin() + 50'000, all.end()));
  free_all(allocate(100'000, 200));  // and is not counted
  const totals t = read_profile();
  BOOST_TEST(t.live == 0);
  BOOST_TEST(near(t.all, 1e5, 1e5 * 208));
  BOOST_TEST(alloc::get_statistics().in_use() == in_use);
}

BOOST_AUTO_TEST_CASE(threads_start_and_stop_it_while_others_allocate) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([] {
      for (int round = 0; round < 40; ++round)
        for (const std::size_t size : {32, 500, 5000, 2 << 20}) free_all(allocate(200, size));
    });
  for (int i = 0; i < 30; ++i) {
    const running on;
    (void)read_profile();
  }
  for (std::thread& t : threads) t.join();
}

BOOST_AUTO_TEST_CASE(a_new_one_begins_with_nothing) {
  const running on;
  const std::vector<void*> all = allocate(100'000, 100);
  BOOST_TEST(read_profile().samples > 0u);
  BOOST_TEST(profile::start(interval));
  BOOST_TEST(read_profile().samples == 0u);
  free_all(all);
  BOOST_TEST(!profile::start(0));
  BOOST_TEST(!profile::write("/nowhere/at/all"));
}

BOOST_AUTO_TEST_SUITE_END()
