// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/buffered.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "heddle/net/unix.hpp"
#include "net/poller_in_use.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::io::buffered_reader;
using heddle::io::buffered_writer;
using heddle::io::errc;
using heddle::io::limits;
using heddle::net::unix_stream;
using heddle::testing::all_settings;
using heddle::testing::belongings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::with_crew;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

/// Gives pieces as they are; an empty one: a wait that the limits end. Then the end.
struct script {
  std::vector<std::string> pieces;
  std::size_t next = 0;
  std::vector<std::size_t> asked;

  std::size_t read_some(std::span<std::byte> to, const limits&, std::error_code& ec) {
    ec.clear();
    asked.push_back(to.size());
    if (next == pieces.size()) return 0;
    std::string& piece = pieces[next];
    const std::size_t n = std::min(to.size(), piece.size());
    if (piece.empty()) ec = std::make_error_code(std::errc::timed_out);
    piece.copy(reinterpret_cast<char*>(to.data()), n);
    piece.erase(0, n);
    if (piece.empty()) ++next;
    return n;
  }
  std::string name() const { return "a script"; }
};
static_assert(heddle::io::byte_source<script> && !heddle::io::waiting_source<script>);
static_assert(heddle::io::waiting_source<unix_stream> && heddle::io::byte_sink<unix_stream>);

/// One that can wait: an empty piece is where it does. Notes how many blocks of memory there are then.
struct waiting_script : script {
  long blocks = 0;
  std::vector<long> held;

  void wait_readable(const limits&, std::error_code& ec) {
    held.push_back(belongings::now().blocks - blocks);
    ec.clear();
  }
};
static_assert(heddle::io::waiting_source<waiting_script>);

/// Keeps what is written, as long as there is room; then it fails.
struct sink {
  std::vector<std::string> pieces;
  std::size_t room = std::string::npos;

  std::size_t write(std::span<const std::byte> from, const limits&, std::error_code& ec) noexcept {
    const std::size_t n = std::min(from.size(), room);
    ec = n != from.size() ? std::make_error_code(std::errc::timed_out) : std::error_code();
    room -= n;
    pieces.push_back(text_of(from.first(n)));
    return n;
  }
};

/// A script in pieces of n bytes.
script cut(std::string_view text, std::size_t n) {
  script s;
  for (; !text.empty(); text.remove_prefix(std::min(n, text.size()))) s.pieces.emplace_back(text.substr(0, n));
  return s;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(buffered, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(lines_of_all_kinds) {
  const std::string text = "first\nsecond\r\n\n\r\nwith\rone\nlast";
  const std::vector<std::string> expected = {"first", "second", "", "", "with\rone", "last"};
  for (std::size_t piece = 1; piece <= text.size(); ++piece)
    for (const std::size_t size : {1u, 2u, 7u, 100u}) {
      script s = cut(text, piece);
      buffered_reader in(s, size);
      std::vector<std::string> got;
      for (const std::string_view line : lines(in)) got.emplace_back(line);
      BOOST_TEST((got == expected), piece << " bytes at a time, " << size << " ahead");
      BOOST_TEST(!in.read_line().has_value());
    }
  script empty;
  buffered_reader in(empty);
  for (const std::string_view line : lines(in)) BOOST_ERROR("a line: " << line);
}

BOOST_AUTO_TEST_CASE(lines_have_a_limit) {
  for (const std::size_t piece : {1u, 3u, 100u})
    for (const std::size_t size : {1u, 4u, 100u}) {
      script s = cut("1234\n12345\nrest", piece);
      buffered_reader in(s, size);
      std::error_code ec;
      BOOST_TEST(in.read_line(5, {}, ec).value_or("none") == "1234");
      BOOST_TEST(!in.read_line(5, {}, ec).has_value());
      BOOST_TEST((ec == errc::message_too_long));
      BOOST_TEST(in.read_line(6, {}, ec).value_or("none") == "12345");
      BOOST_TEST(!in.read_line(4, {}, ec).has_value());
      BOOST_TEST((ec == errc::message_too_long));
      BOOST_TEST(in.read_line(5, {}, ec).value_or("none") == "rest");
      BOOST_TEST(!in.read_line(5, {}, ec).has_value());
      BOOST_TEST(!ec);
    }
  script s = cut("long line\n", 100);
  buffered_reader in(s);
  BOOST_CHECK_EXCEPTION(for ([[maybe_unused]] const std::string_view line
                             : lines(in, 4)) BOOST_ERROR("a line"),
                        heddle::io::error, [](const auto& e) {
                          return e.what() == std::string("read from a script: longer than the limit");
                        });
}

BOOST_AUTO_TEST_CASE(reads_until_a_delimiter) {
  script s = cut("key: value; tail", 5);
  buffered_reader in(s, 4);
  std::error_code ec;
  BOOST_TEST(in.read_until(':', 100, {}, ec) == "key:");
  BOOST_TEST(in.read_until(';', 100, {}, ec) == " value;");
  BOOST_TEST(!ec);
  BOOST_TEST(in.read_until(';', 100, {}, ec) == " tail");
  BOOST_TEST((ec == errc::end_of_stream));
  BOOST_TEST(in.read_until(';', 100, {}, ec) == "");
  BOOST_TEST((ec == errc::end_of_stream));
  BOOST_TEST(in.read_until(';', 0, {}, ec) == "");
  BOOST_TEST((ec == errc::message_too_long));
  BOOST_CHECK_THROW(in.read_until(';', 100), heddle::io::error);
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_when_limits_end_a_wait) {
  script s;
  s.pieces = {"ab", "", "cd", "", "e\nrest"};
  buffered_reader in(s);
  std::error_code ec;
  BOOST_TEST(!in.read_line(10, {}, ec).has_value());
  BOOST_TEST((ec == std::errc::timed_out));
  BOOST_TEST(in.peek(3, {}, ec).size() == 4u);
  BOOST_TEST(!ec);
  BOOST_TEST(in.peek(5, {}, ec).size() == 4u);
  BOOST_TEST((ec == std::errc::timed_out));
  BOOST_TEST(in.read_line(10, {}, ec).value_or("none") == "abcde");
  BOOST_TEST(text_of(in.buffered()) == "rest");
}

BOOST_AUTO_TEST_CASE(peeks) {
  for (const std::size_t size : {1u, 3u, 100u}) {
    script s = cut("0123456789", 2);
    buffered_reader in(s, size);
    std::error_code ec;
    BOOST_TEST(in.peek(0, {}, ec).empty());
    BOOST_TEST(s.asked.empty());
    BOOST_TEST(text_of(in.peek(3, {}, ec)).starts_with("012"));
    std::array<std::byte, 1> one;
    BOOST_TEST(in.read_some(one, {}, ec) == 1u);
    BOOST_TEST(text_of(in.peek(9, {}, ec)) == "123456789");
    BOOST_TEST(!ec);
    BOOST_TEST(text_of(in.peek(10, {}, ec)) == "123456789");
    BOOST_TEST((ec == errc::end_of_stream));
    BOOST_CHECK_THROW(in.peek(10), heddle::io::error);
  }
}

BOOST_AUTO_TEST_CASE(skips) {
  script s = cut("0123456789", 3);
  buffered_reader in(s, 4);
  std::error_code ec;
  BOOST_TEST(in.skip(0, {}, ec) == 0u);
  BOOST_TEST(in.skip(5, {}, ec) == 5u);
  BOOST_TEST(text_of(in.peek(1, {}, ec)).front() == '5');
  BOOST_TEST(in.skip(1, {}, ec) == 1u);
  BOOST_TEST(!ec);
  BOOST_TEST(in.skip(5, {}, ec) == 4u);
  BOOST_TEST((ec == errc::end_of_stream));
}

BOOST_AUTO_TEST_CASE(reads_exactly) {
  for (const std::size_t size : {1u, 4u, 100u}) {
    script s = cut("0123456789", 3);
    buffered_reader in(s, size);
    std::array<std::byte, 4> four;
    std::array<std::byte, 5> five;
    std::error_code ec;
    BOOST_TEST(in.read_exactly(four, {}, ec) == 4u);
    BOOST_TEST(text_of(four) == "0123");
    BOOST_TEST(in.read_exactly(five, {}, ec) == 5u);
    BOOST_TEST(text_of(five) == "45678");
    BOOST_TEST(!ec);
    BOOST_TEST(in.read_exactly(four, {}, ec) == 1u);
    BOOST_TEST((ec == errc::end_of_stream));
    BOOST_CHECK_THROW(in.read_exactly(four), heddle::io::error);
  }
}

BOOST_AUTO_TEST_CASE(long_reads_go_past_the_buffer) {
  script s;
  s.pieces = {"ab", std::string(50, 'x')};
  buffered_reader in(s, 10);
  std::array<std::byte, 50> large;
  std::array<std::byte, 1> one;
  BOOST_TEST(in.read_some(one) == 1u);
  BOOST_TEST(in.read_some(large) == 1u);
  BOOST_TEST(in.read_some(large) == 50u);
  BOOST_TEST((s.asked == std::vector<std::size_t>{10, 50}));
  BOOST_TEST(in.read_some({}) == 0u);
  BOOST_TEST(in.read_some(large) == 0u);
}

BOOST_AUTO_TEST_CASE(lines_longer_than_the_buffer_keep_what_follows) {
  std::string text;
  for (std::size_t n = 0; n != 300; ++n) text += std::string(n, static_cast<char>('a' + n % 26)) + '\n';
  for (const std::size_t piece : {1u, 7u, 64u, 1000u}) {
    script s = cut(text, piece);
    buffered_reader in(s, 16);
    for (std::size_t n = 0; n != 300; ++n)
      BOOST_TEST(in.read_line().value_or("none") == std::string(n, static_cast<char>('a' + n % 26)));
  }
}

BOOST_AUTO_TEST_CASE(a_reader_that_waits_holds_no_memory) {
  if (heddle::testing::sanitized) return;  // their blocks are not counted
  waiting_script s;
  s.pieces = {"", "one\ntw", "o\n", "", "three\n"};
  s.asked.reserve(100);
  s.held.reserve(100);
  buffered_reader in(s);
  std::vector<long> while_reading;
  while_reading.reserve(100);
  s.blocks = belongings::now().blocks;
  while (in.read_line()) while_reading.push_back(belongings::now().blocks - s.blocks);
  BOOST_TEST((s.held == std::vector<long>{0, 0}));
  BOOST_TEST(while_reading == (std::vector<long>{1, 1, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(limits_end_the_wait_for_a_line) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      auto [a, b] = unix_stream::pair();
      c.start([&, &from = b, &to = a] {
        buffered_reader in(from);
        std::error_code ec;
        expect(!in.read_line(10, 5ms, ec) && ec == std::errc::timed_out);
        std::stop_source source;
        source.request_stop();
        expect(!in.read_line(10, source.get_token(), ec) && ec == std::errc::operation_canceled);
        to.write("line\n");
        to.shutdown_write();
        expect(in.read_line(10, 60s, ec).value_or("none") == "line");
        expect(!in.read_line(10, 60s, ec) && !ec);
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(writes_are_gathered) {
  sink s;
  {
    buffered_writer out(s, 8);
    BOOST_TEST(out.write("abc") == 3u);
    out.write("defgh");
    BOOST_TEST(s.pieces.empty());
    BOOST_TEST(out.buffered() == 8u);
    out.write("ij");
    BOOST_TEST((s.pieces == std::vector<std::string>{"abcdefgh"}));
    out.flush();
    BOOST_TEST(out.buffered() == 0u);
    out.flush();
    out.write("");
    BOOST_TEST((s.pieces == std::vector<std::string>{"abcdefgh", "ij"}));
    out.write("12345");
    out.write(std::string(20, 'x'));  // fills the buffer first; the rest is not copied
    out.write("end");
  }
  BOOST_TEST((s.pieces == std::vector<std::string>{"abcdefgh", "ij", "12345xxx", std::string(17, 'x'), "end"}));
}

BOOST_AUTO_TEST_CASE(what_is_written_arrives_whatever_the_sizes) {
  for (const std::size_t size : {1u, 2u, 5u, 100u}) {
    sink s;
    std::string sent;
    {
      buffered_writer out(s, size);
      for (std::size_t n = 0; n != 30; ++n) {
        const std::string piece(n * 7 % 13, static_cast<char>('a' + n));
        sent += piece;
        BOOST_TEST(out.write(piece) == piece.size());
      }
    }
    std::string got;
    for (const std::string& piece : s.pieces) got += piece;
    BOOST_TEST(got == sent);
  }
}

BOOST_AUTO_TEST_CASE(a_failed_flush_may_be_tried_again) {
  sink s;
  buffered_writer out(s, 8);
  std::error_code ec;
  out.write("abcdef");
  s.room = 2;
  BOOST_TEST(!out.flush({}, ec));
  BOOST_TEST((ec == std::errc::timed_out));
  BOOST_TEST(out.buffered() == 4u);
  BOOST_CHECK_EXCEPTION(out.flush(), heddle::io::error,
                        [](const auto& e) { return std::string(e.what()).starts_with("write to a stream: "); });
  // Takes what fits, and says so.
  BOOST_TEST(out.write(bytes("ghijklm"), {}, ec) == 4u);
  BOOST_TEST((ec == std::errc::timed_out));
  BOOST_TEST(out.buffered() == 8u);
  s.room = 100;
  BOOST_TEST(out.flush({}, ec));
  BOOST_TEST(s.pieces.back() == "cdefghij");
}

BOOST_AUTO_TEST_CASE(the_destructor_does_not_try_what_has_failed) {
  sink s;
  {
    buffered_writer out(s, 8);
    std::error_code ec;
    out.write("abcdef");
    s.room = 2;
    out.flush({}, ec);
    s.room = 100;
  }
  BOOST_TEST((s.pieces == std::vector<std::string>{"ab"}));
  {
    buffered_writer out(s, 8);
    out.write("dropped");
    out.discard();
    BOOST_TEST(out.buffered() == 0u);
  }
  BOOST_TEST(s.pieces.size() == 1u);
}

BOOST_AUTO_TEST_CASE(conversations) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      auto [a, b] = unix_stream::pair();
      c.start([&, &s = a] {
        buffered_reader in(s);
        buffered_writer out(s);
        for (int i = 0; i < 100; ++i) {
          out.write("question " + std::to_string(i) + "\n");
          if (i % 3 != 0) out.flush(60s);
          if (i % 3 != 0) expect(in.read_line(100, 60s).value_or("none").starts_with("answer to question"));
        }
        out.flush(60s);
        s.shutdown_write();
        int rest = 0;
        for (const std::string_view line : lines(in, 100, 60s)) rest += line.starts_with("answer");
        expect(rest == 34);
      });
      c.start([&, &s = b] {
        buffered_reader in(s);
        buffered_writer out(s);
        for (const std::string_view line : lines(in, 100, 60s)) {
          out.write("answer to ");
          out.write(line);
          out.write("\r\n");
          out.flush(60s);
        }
        s.shutdown_write();
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_SUITE_END()
