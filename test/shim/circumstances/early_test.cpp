// SPDX-License-Identifier: BSL-1.0
//
// Before main, and before the shim's own constructor: what others allocate there lives on.
#define BOOST_TEST_MODULE shim_early
#include <set>
#include <thread>

#include "shim/circumstances/early.hpp"
#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

void preinit() { allocate_early("preinit_array"); }
__attribute__((section(".preinit_array"), used)) void (*const preinit_entry)() = preinit;

__attribute__((constructor(101))) void construct() { allocate_early("the constructor of the program"); }

bool intact(const early_block& b) {
  for (std::size_t i = 0; i != b.size; ++i)
    if (b.at[i] != 'e') return false;
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(early)

BOOST_AUTO_TEST_CASE(blocks_from_before_main_live_on) {
  std::size_t count = 0;
  early_block* blocks = early_blocks(count);
  BOOST_REQUIRE(count == 3 * std::size(early_sizes));
  std::set<char*> distinct;
  for (std::size_t i = 0; i != count; ++i) {
    BOOST_TEST_CONTEXT(blocks[i].size << " bytes by " << blocks[i].by) {
      BOOST_REQUIRE(blocks[i].at);
      BOOST_TEST(intact(blocks[i]));
      BOOST_TEST(distinct.insert(blocks[i].at).second);
      blocks[i].at = static_cast<char*>(std::realloc(blocks[i].at, 3 * blocks[i].size));
      BOOST_TEST(intact(blocks[i]));
    }
  }
  std::thread([&] {
    for (std::size_t i = 0; i != count; ++i) std::free(blocks[i].at);
  }).join();
}

BOOST_AUTO_TEST_SUITE_END()
