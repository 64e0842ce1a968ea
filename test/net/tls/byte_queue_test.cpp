// SPDX-License-Identifier: BSL-1.0
//
// Bytes that wait between a connection and OpenSSL: they stay in order however much room is made meanwhile.
#include "tls/byte_queue.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <utility>
#include <vector>

#include "support/leak_check.hpp"

using heddle::net::tls::detail::byte_queue;

namespace {

std::vector<std::byte> numbered(std::size_t first, std::size_t n) {
  std::vector<std::byte> b(n);
  for (std::size_t i = 0; i != n; ++i) b[i] = static_cast<std::byte>((first + i) * 31 + (first + i) / 256);
  return b;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(byte_queues, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(bytes_come_out_as_they_came_in) {
  byte_queue q;
  std::mt19937 random(5);
  std::size_t in = 0, out = 0;
  for (int i = 0; i != 2000; ++i) {
    if (random() % 2 == 0 || q.empty()) {
      const std::size_t n = random() % (i % 100 == 0 ? 100'000 : 3000);
      q.append(numbered(in, n));
      in += n;
    } else {
      const auto held = q.bytes();
      BOOST_REQUIRE_EQUAL(held.size(), in - out);
      const std::size_t n = random() % (held.size() + 1);
      BOOST_REQUIRE(std::ranges::equal(held.first(n), numbered(out, n)));
      q.consume(n);
      out += n;
    }
  }
  BOOST_REQUIRE(std::ranges::equal(q.bytes(), numbered(out, in - out)));
}

BOOST_AUTO_TEST_CASE(room_is_filled_later) {
  byte_queue q;
  q.append(numbered(0, 100));
  q.consume(40);
  const auto room = q.room(5000);
  BOOST_TEST(room.size() >= 5000u);
  std::ranges::copy(numbered(100, 50), room.begin());
  BOOST_TEST(q.bytes().size() == 60u);
  q.added(50);
  BOOST_TEST(std::ranges::equal(q.bytes(), numbered(40, 110)));
}

BOOST_AUTO_TEST_CASE(memory_goes_back_only_without_bytes) {
  byte_queue q;
  q.append(numbered(0, 10));
  q.release();
  BOOST_TEST(q.bytes().size() == 10u);
  byte_queue moved = std::move(q);
  BOOST_TEST(q.empty());
  BOOST_TEST(std::ranges::equal(moved.bytes(), numbered(0, 10)));
  moved.consume(10);
  moved.release();
  BOOST_TEST(moved.bytes().data() == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
