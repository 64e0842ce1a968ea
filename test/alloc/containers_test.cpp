// SPDX-License-Identifier: BSL-1.0
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "heddle/alloc.hpp"
#include "heddle/allocator.hpp"
#include "heddle/memory_resource.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

namespace alloc = heddle::alloc;

template <class T>
using allocator = alloc::allocator<T>;
using text = std::basic_string<char, std::char_traits<char>, allocator<char>>;

std::size_t live_bytes() { return alloc::get_statistics().in_use(); }

struct alignas(128) wide {
  int value;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(containers, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(those_of_std_live_in_it) {
  const std::size_t earlier = live_bytes();
  {
    std::vector<int, allocator<int>> v;
    std::deque<text, allocator<text>> d;
    std::list<int, allocator<int>> l;
    std::map<int, text, std::less<>, allocator<std::pair<const int, text>>> m;
    std::unordered_map<int, int, std::hash<int>, std::equal_to<>, allocator<std::pair<const int, int>>> u;
    for (int i = 0; i < 10'000; ++i) {
      v.push_back(i);
      d.emplace_back(30, static_cast<char>('a' + i % 26));
      l.push_back(i);
      m.emplace(i, text(100, 'x'));
      u[i] = i;
    }
    BOOST_TEST(live_bytes() >= earlier + 10'000 * (4 + 32 + 24 + 112 + 16));
    BOOST_TEST((v[9'999] == 9'999 && d[27] == text(30, 'b') && m.at(77).size() == 100 && u.at(5) == 5));
    auto moved = std::move(m);
    BOOST_TEST(moved.size() == 10'000u);
    auto copy = v;
    copy.swap(v);
  }
  const auto shared = std::allocate_shared<int>(allocator<int>(), 3);
  BOOST_TEST(live_bytes() > earlier);
  BOOST_TEST(*shared == 3);
}

BOOST_AUTO_TEST_CASE(alignment_of_types_is_kept) {
  std::vector<wide, allocator<wide>> v(3);
  std::list<wide, allocator<wide>> l(10);
  for (const wide& w : v) BOOST_TEST(reinterpret_cast<std::uintptr_t>(&w) % 128 == 0u);
  for (const wide& w : l) BOOST_TEST(reinterpret_cast<std::uintptr_t>(&w) % 128 == 0u);
}

BOOST_AUTO_TEST_CASE(at_least_gives_what_the_block_holds) {
  allocator<int> a;
  for (const std::size_t n : {1, 5, 100, 1'000'000}) {
    const auto r = a.allocate_at_least(n);
    BOOST_TEST(r.count >= n);
    BOOST_TEST(r.count == alloc::good_size(n * sizeof(int)) / sizeof(int));
    r.ptr[r.count - 1] = 1;
    a.deallocate(r.ptr, r.count);
  }
  BOOST_CHECK_THROW((void)a.allocate(std::numeric_limits<std::size_t>::max() / 2), std::bad_array_new_length);
  BOOST_CHECK_THROW((void)a.allocate(std::size_t{1} << 50), std::bad_alloc);
  BOOST_TEST((allocator<int>() == allocator<char>()));
}

BOOST_AUTO_TEST_CASE(a_wrong_number_of_objects_is_reported) {
  const auto dies = [](auto f, const char* words) {
    const auto how = heddle::testing::death_of(f);
    BOOST_TEST(how.signal == SIGABRT);
    BOOST_TEST(how.says(words), how.text);
  };
  dies([] { allocator<int>().deallocate(allocator<int>().allocate(64), 16); }, "as 64 bytes, but the block has 256");
  dies([] { allocator<wide>().deallocate(allocator<wide>().allocate(4), 1); }, "as 128 bytes, but the block has 512");
  std::pmr::memory_resource* const r = alloc::default_resource();
  dies([r] { r->deallocate(r->allocate(256, 8), 64, 8); }, "as 64 bytes, but the block has 256");
  dies([r] { r->deallocate(r->allocate(256, 64), 64, 64); }, "as 64 bytes, but the block has 256");
}

BOOST_AUTO_TEST_CASE(resources_are_all_the_same) {
  std::pmr::memory_resource* const r = alloc::default_resource();
  alloc::memory_resource mine;
  BOOST_TEST(r->is_equal(mine));
  BOOST_TEST(!r->is_equal(*std::pmr::new_delete_resource()));
  const std::size_t earlier = live_bytes();
  void* const p = r->allocate(100, 8);
  BOOST_TEST(live_bytes() == earlier + alloc::good_size(100));
  mine.deallocate(p, 100, 8);
  BOOST_TEST(live_bytes() == earlier);
  void* const q = r->allocate(100, 4096);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(q) % 4096 == 0u);
  r->deallocate(q, 100, 4096);
  std::pmr::map<int, std::pmr::string> m(r);
  for (int i = 0; i < 1000; ++i) m.emplace(i, std::pmr::string(50, 'x'));
  BOOST_TEST(live_bytes() >= earlier + 1000 * 100);
  BOOST_CHECK_THROW((void)r->allocate(std::size_t{1} << 50), std::bad_alloc);
}

BOOST_AUTO_TEST_SUITE_END()
