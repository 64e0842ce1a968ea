// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <boost/property_tree/json_parser.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "heddle/alloc.hpp"
#include "support/leak_check.hpp"

namespace {

namespace alloc = heddle::alloc;

const alloc::class_statistics& of_size(const alloc::statistics& s, std::size_t size) {
  for (const alloc::class_statistics& c : s)
    if (c.block_size >= size) return c;
  throw std::out_of_range("no such class");
}

struct blocks {
  blocks(std::size_t n, std::size_t size) : all(n) {
    for (void*& p : all) p = alloc::allocate(size);
  }
  ~blocks() {
    for (void* p : all) alloc::deallocate(p);
  }
  blocks(const blocks&) = delete;
  blocks& operator=(const blocks&) = delete;
  std::vector<void*> all;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(statistics, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(blocks_are_counted_exactly) {
  for (const std::size_t size : {16, 100, 128, 144, 1000, 5000, 70'000, 1'000'000}) {
    const alloc::statistics earlier = alloc::get_statistics();
    {
      const blocks hold(70, size);
      const alloc::statistics now = alloc::get_statistics();
      BOOST_TEST(of_size(now, size).in_use == of_size(earlier, size).in_use + 70, size);
      BOOST_TEST(now.in_use() == earlier.in_use() + 70 * of_size(now, size).block_size, size);
    }
    BOOST_TEST(of_size(alloc::get_statistics(), size).in_use == of_size(earlier, size).in_use, size);
    BOOST_TEST(alloc::get_statistics().in_use() == earlier.in_use(), size);
  }
}

BOOST_AUTO_TEST_CASE(what_waits_in_caches_of_others_is_free) {
  for (const std::size_t size : {16, 200, 4000}) {
    const alloc::statistics earlier = alloc::get_statistics();
    std::vector<void*> given;
    for (int i = 0; i < 100; ++i) given.push_back(alloc::allocate(size));  // go back by batches, or stay in magazines
    std::atomic<bool> freed{false}, seen{false};
    std::thread other([&] {
      for (const bool own : {true, false}) {
        std::vector<void*> all(own ? 300 : 0);
        for (void*& p : all) p = alloc::allocate(size);
        for (void* const p : own ? all : given) alloc::deallocate(p);
      }
      freed = true;
      freed.notify_one();
      seen.wait(false);
    });
    freed.wait(false);
    const alloc::statistics now = alloc::get_statistics();
    seen = true;
    seen.notify_one();
    other.join();
    BOOST_TEST(of_size(now, size).in_use == of_size(earlier, size).in_use, size);
  }
}

BOOST_AUTO_TEST_CASE(every_byte_of_a_span_is_in_one_place) {
  const blocks some(1000, 200), others(10, 3'000'000), many(100'000, 24);
  const alloc::statistics s = alloc::get_statistics();
  std::size_t pages = s.large_bytes;
  for (const alloc::class_statistics& c : s) {
    pages += c.pages;
    BOOST_TEST((c.in_use + c.free + c.fresh) * c.block_size <= c.pages);
    BOOST_TEST((c.in_use + c.free + c.fresh) * c.block_size * 8 >= c.pages * 7);  // at most an eighth is no block
    BOOST_TEST((c.spans() == 0) == (c.pages == 0));
  }
  BOOST_TEST(pages == s.in_spans);
  BOOST_TEST(s.in_spans + s.idle_resident <= s.mapped);
  BOOST_TEST(s.large_blocks >= 10u);
  BOOST_TEST(s.records != 0u);
}

BOOST_AUTO_TEST_CASE(large_and_huge_blocks_are_told_apart) {
  const alloc::statistics earlier = alloc::get_statistics();
  const blocks large(3, 2 << 20), huge(2, 48 << 20);
  const alloc::statistics now = alloc::get_statistics();
  BOOST_TEST(now.large_blocks == earlier.large_blocks + 3);
  BOOST_TEST(now.large_bytes == earlier.large_bytes + 3 * (2 << 20));
  BOOST_TEST(now.huge == earlier.huge + 2 * (48 << 20));
}

BOOST_AUTO_TEST_CASE(spans_change_their_states) {
  constexpr std::size_t size = 7000;  // a class which nothing else here uses
  std::vector<void*> all;
  for (int i = 0; i < 1000; ++i) all.push_back(alloc::allocate(size));
  const alloc::class_statistics busy = of_size(alloc::get_statistics(), size);
  BOOST_TEST(busy.active_spans == 1u);
  BOOST_TEST(busy.full_spans > 50u);
  for (std::size_t i = 0; i != all.size(); ++i)
    if (i % 2 == 1) alloc::deallocate(all[i]);  // half of each
  const alloc::class_statistics half = of_size(alloc::get_statistics(), size);
  BOOST_TEST(half.partial_spans > 50u);
  BOOST_TEST(half.in_use == 500u);
  for (std::size_t i = 0; i != all.size(); ++i)
    if (i % 8 != 0 && i % 2 == 0) alloc::deallocate(all[i]);  // an eighth is left: nobody keeps these
  const alloc::class_statistics sparse = of_size(alloc::get_statistics(), size);
  BOOST_TEST(sparse.central_spans > 50u);
  BOOST_TEST(sparse.in_use == 125u);
  for (std::size_t i = 0; i < all.size(); i += 8) alloc::deallocate(all[i]);
  const alloc::class_statistics none = of_size(alloc::get_statistics(), size);
  BOOST_TEST(none.in_use == 0u);
  BOOST_TEST(none.pages <= 64u << 10);  // an active one
}

BOOST_AUTO_TEST_CASE(caches_are_those_of_threads) {
  (void)blocks(1, 16);
  const alloc::statistics earlier = alloc::get_statistics();
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      const blocks hold(1, 16);
      ++ready;
      while (!go) std::this_thread::yield();
    });
  while (ready != 3) std::this_thread::yield();
  const alloc::statistics during = alloc::get_statistics();
  BOOST_TEST(during.caches - during.caches_pooled == earlier.caches - earlier.caches_pooled + 3);
  go = true;
  for (std::thread& t : threads) t.join();
  const alloc::statistics after = alloc::get_statistics();
  BOOST_TEST(after.caches - after.caches_pooled == earlier.caches - earlier.caches_pooled);
  BOOST_TEST(after.caches_pooled >= 3u);
}

BOOST_AUTO_TEST_CASE(others_may_work_meanwhile) {
  std::atomic<bool> end{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      while (!end)
        for (const std::size_t size : {16, 200, 3000, 100'000}) (void)blocks(300, size);
    });
  for (int i = 0; i < 200; ++i) {
    const alloc::statistics s = alloc::get_statistics();
    for (const alloc::class_statistics& c : s)
      if ((c.in_use + c.free + c.fresh) * c.block_size > c.pages) BOOST_ERROR("more blocks than pages");
  }
  end = true;
  for (std::thread& t : threads) t.join();
}

BOOST_AUTO_TEST_CASE(the_json_form_has_the_same_numbers) {
  const blocks some(1000, 200), large(1, 3 << 20);
  const alloc::statistics s = alloc::get_statistics();
  std::istringstream text(alloc::to_json(s));
  boost::property_tree::ptree tree;
  boost::property_tree::read_json(text, tree);
  BOOST_TEST(tree.get<std::size_t>("in_use") == s.in_use());
  BOOST_TEST(tree.get<std::size_t>("in_spans") == s.in_spans);
  BOOST_TEST(tree.get<std::size_t>("large_blocks") == s.large_blocks);
  BOOST_TEST(tree.get<std::size_t>("caches") == s.caches);
  std::size_t classes = 0;
  for (const auto& [name, c] : tree.get_child("classes")) {
    const alloc::class_statistics& same = of_size(s, c.get<std::size_t>("block_size"));
    BOOST_TEST(c.get<std::size_t>("in_use") == same.in_use);
    BOOST_TEST(c.get<std::size_t>("central_spans") == same.central_spans);
    ++classes;
  }
  std::size_t with_spans = 0;
  for (const alloc::class_statistics& c : s) with_spans += c.spans() != 0;
  BOOST_TEST(classes == with_spans);
}

BOOST_AUTO_TEST_CASE(the_text_form_has_a_line_for_each_class_in_use) {
  const blocks some(1000, 200);
  const alloc::statistics s = alloc::get_statistics();
  const std::string text = alloc::to_string(s);
  std::size_t lines = 0, with_spans = 0;
  for (const char c : text) lines += c == '\n';
  for (const alloc::class_statistics& c : s) with_spans += c.spans() != 0;
  BOOST_TEST(lines == with_spans + 10, text);
  BOOST_TEST(text.find("in spans") != std::string::npos);
  std::FILE* const file = std::tmpfile();
  BOOST_TEST(alloc::print(s, file));
  BOOST_TEST(std::ftell(file) == static_cast<long>(text.size()));
  std::fclose(file);
  if (std::FILE* const full = std::fopen("/dev/full", "w"); full != nullptr) {
    std::setvbuf(full, nullptr, _IONBF, 0);
    BOOST_TEST(!alloc::print(s, full));
    std::fclose(full);
  }
}

BOOST_AUTO_TEST_SUITE_END()
