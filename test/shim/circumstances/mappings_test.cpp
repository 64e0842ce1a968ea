// SPDX-License-Identifier: BSL-1.0
//
// More large blocks than the kernel lets a process have mappings (vm.max_map_count), and holes between them.
// (brpc#1428 hung there: row 26.)
#define BOOST_TEST_MODULE shim_mappings
#include <fstream>
#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

std::size_t most_mappings() {
  std::size_t most = 65'530;
  std::ifstream("/proc/sys/vm/max_map_count") >> most;
  return most;
}

void thread_can_start() {
  bool ran = false;
  std::thread([&] {
    void* p = opaque(std::malloc(100));
    ran = p != nullptr;
    std::free(p);
  }).join();
  BOOST_TEST(ran);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mapping_count)

// In the full run every second one freed leaves 70,000 islands of 1.1 MiB, more than the usual limit of 65,530.
BOOST_AUTO_TEST_CASE(many_large_blocks) {
  const std::size_t limit = most_mappings();
  if (limit > 65'530) BOOST_TEST_MESSAGE("vm.max_map_count is " << limit << " here: not reached");
  std::vector<void*> blocks(static_cast<std::size_t>(times(20'000, 140'000)));
  for (void*& p : blocks) BOOST_REQUIRE((p = opaque(std::malloc(1'153'434))) != nullptr);
  BOOST_TEST(mappings() < blocks.size() / 4);
  thread_can_start();
  for (std::size_t i = 0; i < blocks.size(); i += 2) std::free(std::exchange(blocks[i], nullptr));
  BOOST_TEST(mappings() < limit * 9 / 10);
  thread_can_start();
  void* more = opaque(std::malloc(4 * MiB));
  BOOST_TEST(more);
  std::free(more);
  for (void* p : blocks) std::free(p);
  BOOST_TEST(mappings() < 1000u);
  BOOST_TEST(resident_bytes() < 256 * MiB);
}

BOOST_AUTO_TEST_SUITE_END()
