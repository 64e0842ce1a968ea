// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/shared_stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <vector>

#include "heddle/io/owned_descriptor.hpp"
#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::io::owned_descriptor;
using heddle::io::shared_stream;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::temporary_folder;
using heddle::testing::with_crew;

/// Two descriptors in blocking mode: what is written to the one comes out of the other.
struct ends {
  owned_descriptor read, write;
  const char* what;
};

ends pipe_ends() {
  std::array<int, 2> two{};
  BOOST_REQUIRE(::pipe2(two.data(), O_CLOEXEC) == 0);
  return {owned_descriptor(two[0]), owned_descriptor(two[1]), "a pipe"};
}

ends socket_ends() {
  std::array<int, 2> two{};
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, two.data()) == 0);
  return {owned_descriptor(two[0]), owned_descriptor(two[1]), "a pair of sockets"};
}

/// The side of a program, and that of a terminal: bytes go through as they are.
ends terminal_ends(bool reads_program) {
  owned_descriptor master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  BOOST_REQUIRE(::grantpt(master.get()) == 0);
  BOOST_REQUIRE(::unlockpt(master.get()) == 0);
  owned_descriptor program(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios raw{};
  ::tcgetattr(program.get(), &raw);
  ::cfmakeraw(&raw);
  ::tcsetattr(program.get(), TCSANOW, &raw);
  if (reads_program) std::swap(master, program);
  return {std::move(master), std::move(program), reads_program ? "input of a terminal" : "output to a terminal"};
}

std::vector<ends> all_ends() {
  std::vector<ends> all;
  all.push_back(pipe_ends());
  all.push_back(socket_ends());
  all.push_back(terminal_ends(true));
  all.push_back(terminal_ends(false));
  return all;
}

bool blocks(const owned_descriptor& fd) { return (::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) == 0; }

std::string text_of(std::span<const std::byte> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
std::string read_text(heddle::io::stream& s) {
  std::array<std::byte, 64> b;
  return text_of(std::span(b).first(s.read_some(b, 60s)));
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(shared_streams, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(carry_bytes_and_leave_the_mode_as_it_is) {
  for (const auto& setting : all_settings)
    for (const ends& e : all_ends()) {
      with_crew(setting, [&](crew& c) {
        shared_stream in = shared_stream::of(e.read.get(), "in"), out = shared_stream::of(e.write.get(), "out");
        std::vector<std::byte> sent(100'000);
        for (std::size_t i = 0; i != sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 7 + i / 251);
        c.start([&] { expect(out.write(sent, 60s) == sent.size()); });
        c.start([&] {
          std::vector<std::byte> got(sent.size());
          expect(in.read(got, 60s) == sent.size() && got == sent);
        });
        c.join();
        expect(blocks(e.read) && blocks(e.write));
      });
    }
}

BOOST_AUTO_TEST_CASE(waits_end_by_limits_and_by_bytes) {
  for (const auto& setting : all_settings)
    for (const ends& e : all_ends()) {
      with_crew(setting, [&](crew& c) {
        shared_stream in = shared_stream::of(e.read.get(), "in");
        std::atomic<bool> timed_out{false};
        c.start([&] {
          std::array<std::byte, 8> b;
          std::error_code ec;
          in.read_some(b, 2ms, ec);
          expect(ec == std::errc::timed_out);
          timed_out = true;
          in.wait_readable(60s, ec);
          expect(!ec && in.read_some(b, 60s, ec) == 5 && text_of(std::span(b).first(5)) == "hello");
          in.read_some(b, 2ms, ec);
          expect(ec == std::errc::timed_out);
        });
        while (!timed_out) heddle::this_fiber::sleep_for(1ms);
        expect(::write(e.write.get(), "hello", 5) == 5);
        c.join();
      });
    }
}

BOOST_AUTO_TEST_CASE(wait_for_room) {
  for (const auto& setting : all_settings)
    for (const ends& e : all_ends()) {
      with_crew(setting, [&](crew& c) {
        shared_stream out = shared_stream::of(e.write.get(), "out"), in = shared_stream::of(e.read.get(), "in");
        c.start([&] {
          const std::vector<std::byte> much(1'000'000);
          std::error_code ec;
          const std::size_t first = out.write(much, 20ms, ec);
          expect(ec == std::errc::timed_out && first != 0 && first < much.size());
          auto rest = heddle::spawn([&] { return out.write(std::span(much).first(10'000), 60s); });
          std::vector<std::byte> got(first + 10'000);
          expect(in.read(got, 60s, ec) == got.size() && rest.join() == 10'000);
        });
        c.join();
      });
    }
}

BOOST_AUTO_TEST_CASE(several_readers_take_each_byte_once) {
  for (const auto& setting : all_settings)
    for (const ends& e : all_ends()) {
      with_crew(setting, [&](crew& c) {
        constexpr int n = 200;
        std::array<shared_stream, 2> in{shared_stream::of(e.read.get(), "in"), shared_stream::of(e.read.get(), "in")};
        shared_stream out = shared_stream::of(e.write.get(), "out");
        std::array<std::atomic<int>, 256> seen{};
        std::atomic<int> left{n};
        for (shared_stream& s : in)
          c.start([&] {
            while (left > 0) {
              std::array<std::byte, 3> b;
              std::error_code ec;
              const std::size_t got = s.read_some(b, 5ms, ec);
              for (std::size_t i = 0; i != got; ++i) ++seen[static_cast<std::size_t>(b[i])];
              left -= static_cast<int>(got);
            }
          });
        for (int i = 0; i != n; ++i) {
          const std::array<std::byte, 1> b{static_cast<std::byte>(i)};
          out.write(b, 60s);
          if (i % 16 == 0) heddle::this_fiber::yield();
        }
        while (left > 0) heddle::this_fiber::sleep_for(1ms);
        for (int i = 0; i != n; ++i) expect(seen[static_cast<std::size_t>(i)] == 1);
        // A reader of a master that came second is blocked until there is more.
        out.write("\xff\xff\xff\xff\xff\xff\xff\xff", 60s);
        c.join();
      });
    }
}

BOOST_AUTO_TEST_CASE(the_end_and_a_broken_pipe) {
  const auto usual = std::signal(SIGPIPE, SIG_DFL);
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      for (int kind = 0; kind != 2; ++kind) {
        ends a = kind == 0 ? pipe_ends() : socket_ends(), b = kind == 0 ? pipe_ends() : socket_ends();
        shared_stream in = shared_stream::of(a.read.get(), "in"), out = shared_stream::of(b.write.get(), "out");
        a.write.reset();
        b.read.reset();
        c.start([&] {
          std::array<std::byte, 8> bytes{};
          std::error_code ec;
          expect(in.read_some(bytes, 60s, ec) == 0 && !ec);
          expect(out.write(bytes, 60s, ec) == 0 && ec == std::errc::broken_pipe);
        });
        c.join();
      }
    });
  }
  std::signal(SIGPIPE, usual);
}

BOOST_AUTO_TEST_CASE(files_and_devices) {
  const temporary_folder folder;
  for (const auto& setting : all_settings) {
    folder.write("in", "text of a file");
    folder.write("out", "");
    const owned_descriptor from(::open(folder.path("in").c_str(), O_RDONLY | O_CLOEXEC));
    const owned_descriptor to(::open(folder.path("out").c_str(), O_WRONLY | O_CLOEXEC));
    const owned_descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    with_crew(setting, [&](crew& c) {
      shared_stream in = shared_stream::of(from.get(), "in"), out = shared_stream::of(to.get(), "out");
      shared_stream nothing = shared_stream::of(null.get(), "null");
      c.start([&] {
        std::array<std::byte, 4> four;
        expect(in.read_some(four, 60s) == 4 && text_of(four) == "text");
        in.wait_readable(60s);
        expect(read_text(in) == " of a file");
        expect(read_text(in) == "" && read_text(in) == "");
        out.write("one ", 60s);
        out.wait_writable(60s);
        out.write("two", 60s);
        expect(read_text(nothing) == "" && nothing.write("lost", 60s) == 4);
      });
      c.join();
    });
    const owned_descriptor again(::open(folder.path("out").c_str(), O_RDONLY | O_CLOEXEC));
    shared_stream written = shared_stream::of(again.get(), "out");
    BOOST_TEST(read_text(written) == "one two");
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  BOOST_CHECK_EXCEPTION(shared_stream::of(-1, "nothing"), heddle::io::error,
                        [](const auto& e) { return e.what() == std::string("use nothing: Bad file descriptor"); });
  const ends e = pipe_ends();
  shared_stream in = shared_stream::of(e.read.get(), "the pipe");
  std::error_code ec;
  std::array<std::byte, 1> one{};
  in.write(one, 1s, ec);
  BOOST_TEST((ec == std::errc::bad_file_descriptor));
  in.close();
  in.read_some(one, 1s, ec);
  BOOST_TEST((ec == heddle::io::errc::closed));
  BOOST_TEST(::write(e.write.get(), "x", 1) == 1);  // and the caller's is still open
  BOOST_TEST(::read(e.read.get(), one.data(), 1) == 1);
}

BOOST_AUTO_TEST_SUITE_END()

// The streams of the process stay.
BOOST_AUTO_TEST_SUITE(standard_streams)

BOOST_AUTO_TEST_CASE(are_those_of_the_process) {
  const auto with = [](int number, int replacement, auto f) {
    const owned_descriptor usual(::dup(number));
    ::dup2(replacement, number);
    f();
    ::dup2(usual.get(), number);
  };
  const ends input = pipe_ends(), output = pipe_ends(), errors = pipe_ends();
  BOOST_TEST(::write(input.write.get(), "question", 8) == 8);
  std::string got;
  with(STDIN_FILENO, input.read.get(), [&] { got = read_text(heddle::io::standard_input()); });
  with(STDOUT_FILENO, output.write.get(), [] { heddle::io::standard_output().write("answer"); });
  with(STDERR_FILENO, errors.write.get(), [] { heddle::io::standard_error().write("error"); });
  BOOST_TEST(got == "question");
  std::array<char, 16> text{};
  BOOST_TEST(::read(output.read.get(), text.data(), text.size()) == 6);
  BOOST_TEST(text.data() == "answer");
  text = {};
  BOOST_TEST(::read(errors.read.get(), text.data(), text.size()) == 5);
  BOOST_TEST(text.data() == "error");
  BOOST_TEST(&heddle::io::standard_input() == &heddle::io::standard_input());
  BOOST_TEST(heddle::io::standard_output().name() == "standard output");
}

BOOST_AUTO_TEST_SUITE_END()
