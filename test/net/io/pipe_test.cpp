// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/pipe.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <stop_token>
#include <vector>

#include "net/poller_in_use.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::io::errc;
using heddle::io::pipe_ends;
using heddle::io::pipe_stream;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::with_crew;

std::vector<std::byte> pattern(std::size_t n) {
  std::vector<std::byte> b(n);
  for (std::size_t i = 0; i != n; ++i) b[i] = static_cast<std::byte>(i * 7 + i / 251);
  return b;
}

std::vector<std::byte> read_all(heddle::io::stream& s) {
  std::vector<std::byte> all, part(10'000);
  while (const std::size_t n = s.read_some(part, 60s))
    all.insert(all.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(n));
  return all;
}

std::string text_of(std::span<const std::byte> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(pipes, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(bytes_go_through) {
  const auto sent = pattern(300'000);
  for (const auto& setting : all_settings)
    for (const std::size_t capacity : {0u, 4096u, 1u << 20}) {
      with_crew(setting, [&](crew& c) {
        pipe_ends p = heddle::io::pipe(capacity);
        c.start([&] {
          expect(p.writer.write(sent, 60s) == sent.size());
          p.writer.close();
        });
        c.start([&] { expect(read_all(p.reader) == sent); });
        c.join();
      });
    }
}

BOOST_AUTO_TEST_CASE(pieces_of_memory) {
  heddle::run([] {
    pipe_ends p = heddle::io::pipe();
    std::string a = "one", b = "", c = "three";
    const std::array<iovec, 3> from{iovec{a.data(), a.size()}, iovec{b.data(), 0}, iovec{c.data(), c.size()}};
    BOOST_TEST(p.writer.write(from) == 8u);
    std::array<std::byte, 2> first;
    std::array<std::byte, 10> second;
    const std::array<iovec, 2> to{iovec{first.data(), 2}, iovec{second.data(), 10}};
    BOOST_TEST(p.reader.read_some(to) == 8u);
    BOOST_TEST(text_of(first) == "on");
    BOOST_TEST(text_of(std::span(second).first(6)) == "ethree");
  });
}

BOOST_AUTO_TEST_CASE(writes_of_several_stay_together) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      pipe_ends p = heddle::io::pipe(4096);
      for (int i = 0; i < 4; ++i)
        c.start([&, i] {
          const std::vector<std::byte> same(10'000, static_cast<std::byte>(i));
          for (int n = 0; n < 5; ++n) p.writer.write(same, 60s);
        });
      c.start([&] {
        std::vector<std::byte> block(10'000);
        for (int n = 0; n < 20; ++n) {
          expect(p.reader.read(block, 60s) == block.size());
          for (const std::byte b : block) expect(b == block.front());
        }
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(a_pipe_without_a_reader_raises_no_signal) {
  const auto usual = std::signal(SIGPIPE, SIG_DFL);
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      pipe_ends p = heddle::io::pipe(4096), waits = heddle::io::pipe(4096);
      c.start([&] {
        const auto much = pattern(100'000);
        std::error_code ec;
        expect(waits.writer.write(much, 60s, ec) < much.size() && ec == std::errc::broken_pipe);
        p.reader.close();
        expect(p.writer.write(much, 60s, ec) == 0 && ec == std::errc::broken_pipe);
        expect(p.writer.write_some(much, 60s, ec) == 0 && ec == std::errc::broken_pipe);
      });
      std::array<std::byte, 1> one;
      waits.reader.read(one, 60s);
      waits.reader.close();
      c.join();
    });
  }
  std::signal(SIGPIPE, usual);
}

BOOST_AUTO_TEST_CASE(waits_end) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      pipe_ends p = heddle::io::pipe(4096), closed = heddle::io::pipe();
      c.start([&] {
        std::array<std::byte, 8> b;
        const auto much = pattern(100'000);
        std::error_code ec;
        expect(p.reader.read_some(b, 2ms, ec) == 0 && ec == std::errc::timed_out);
        expect(p.writer.write(much, 2ms, ec) == 4096 && ec == std::errc::timed_out);
        std::stop_source source;
        source.request_stop();
        expect(p.writer.write_some(much, source.get_token(), ec) == 0 && ec == std::errc::operation_canceled);
        closed.reader.read_some(b, 60s, ec);
        expect(ec == errc::closed);
        closed.reader.read_some(b, 60s, ec);
        expect(ec == errc::closed);
      });
      heddle::this_fiber::sleep_for(10ms);
      closed.reader.close();
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  pipe_ends p = heddle::io::pipe();
  std::array<std::byte, 1> one{};
  std::error_code ec;
  p.writer.read_some(one, 1s, ec);
  BOOST_TEST((ec == std::errc::bad_file_descriptor));
  p.reader.write(one, 1s, ec);
  BOOST_TEST((ec == std::errc::bad_file_descriptor));
  BOOST_CHECK_EXCEPTION(p.reader.read_some(one, 1ms), heddle::io::error,
                        [](const auto& e) { return std::string(e.what()).starts_with("read from a pipe: "); });
  BOOST_CHECK_THROW(heddle::io::pipe(std::size_t{1} << 40), heddle::io::error);
  BOOST_CHECK_THROW(heddle::io::pipe(std::size_t{1} << 31), heddle::io::error);
  BOOST_CHECK_THROW(pipe_stream::adopt(-1, "nothing"), heddle::io::error);
}

BOOST_AUTO_TEST_CASE(pipes_are_closed_on_exec_and_as_large_as_asked_for) {
  const pipe_ends p = heddle::io::pipe(10'000);
  for (const pipe_stream* s : {&p.reader, &p.writer}) {
    BOOST_TEST(::fcntl(s->native_handle(), F_GETPIPE_SZ) == 16'384);
    BOOST_TEST((::fcntl(s->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
  }
}

BOOST_AUTO_TEST_CASE(adopted_descriptors_do_not_block) {
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  pipe_stream reader = pipe_stream::adopt(ends[0], "the reader"), writer = pipe_stream::adopt(ends[1], "the writer");
  std::array<std::byte, 1> one;
  std::error_code ec;
  reader.read_some(one, 2ms, ec);
  BOOST_TEST((ec == std::errc::timed_out));
  BOOST_TEST(reader.name() == "the reader");
  writer.write("x");
  BOOST_TEST(reader.read_some(one) == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
