// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/splice.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <stop_token>
#include <vector>

#include "heddle/io/file.hpp"
#include "heddle/io/pipe.hpp"
#include "heddle/io/shared_stream.hpp"
#include "heddle/net/tcp.hpp"
#include "heddle/net/unix.hpp"
#include "net/file_ring_in_use.hpp"
#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::io::errc;
using heddle::io::file;
using heddle::io::shared_stream;
using heddle::io::splice_all;
using heddle::io::stream;
using heddle::net::endpoint;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;
using heddle::net::unix_stream;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::temporary_folder;
using heddle::testing::with_crew;

struct two_ends {
  tcp_stream client, server;
};
two_ends connected() {
  tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
  tcp_stream client = tcp_stream::connect(l.local_endpoint());
  return {std::move(client), l.accept()};
}

std::vector<std::byte> pattern(std::size_t n) {
  std::vector<std::byte> b(n);
  for (std::size_t i = 0; i != n; ++i) b[i] = static_cast<std::byte>(i * 7 + i / 251);
  return b;
}

std::vector<std::byte> read_all(stream& s) {
  std::vector<std::byte> all, part(50'000);
  while (const std::size_t n = s.read_some(part, 60s))
    all.insert(all.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(n));
  return all;
}

std::string_view text_of(const std::vector<std::byte>& b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

/// A file of the pattern.
file written(const std::string& path, std::size_t n) {
  file f = file::open(path, O_RDWR | O_CREAT | O_TRUNC);
  f.write_at(pattern(n), 0);
  return f;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(files_to_streams, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(the_whole_and_parts) {
  const temporary_folder folder;
  const auto all = pattern(3'000'000);
  for (const auto& setting : all_settings) {
    const file f = written(folder.path("f"), all.size());
    with_crew(setting, [&](crew& c) {
      two_ends e = connected();
      c.start([&] {
        const int fd = f.native_handle();
        expect(e.client.send_file(fd, 0, all.size(), 60s) == all.size());
        expect(e.client.send_file(fd, 1000, 10, 60s) == 10);
        expect(e.client.send_file(fd, 2'999'990, stream::to_the_end, 60s) == 10);
        expect(e.client.send_file(fd, 5, 0, 60s) == 0);
        e.client.shutdown_write();
      });
      c.start([&] {
        auto expected = all;
        expected.insert(expected.end(), all.begin() + 1000, all.begin() + 1010);
        expected.insert(expected.end(), all.end() - 10, all.end());
        expect(read_all(e.server) == expected);
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(to_streams_of_all_kinds) {
  const temporary_folder folder;
  const auto all = pattern(300'000);
  heddle::run([&] {
    const file f = written(folder.path("f"), all.size());
    auto p = heddle::io::pipe();
    auto [a, b] = unix_stream::pair();
    std::array<int, 2> ends{};
    BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const heddle::io::owned_descriptor reader(ends[0]);
    heddle::io::owned_descriptor writer(ends[1]);
    shared_stream in = shared_stream::of(ends[0], "in"), out = shared_stream::of(ends[1], "out");
    writer.reset();
    const auto go_through = [&](stream& from, stream& to) {
      auto sender = heddle::spawn([&] {
        const std::size_t n = from.send_file(f.native_handle(), 0, all.size(), 60s);
        from.close();
        return n;
      });
      BOOST_TEST((read_all(to) == all));
      BOOST_TEST(sender.join() == all.size());
    };
    go_through(p.writer, p.reader);
    go_through(a, b);
    go_through(out, in);
  });
}

BOOST_AUTO_TEST_CASE(files_that_the_system_cannot_send) {
  heddle::run([] {
    two_ends e = connected();
    const file f = file::open("/proc/self/status");
    auto reader = heddle::spawn([&] { return read_all(e.server); });
    const std::size_t sent = e.client.send_file(f.native_handle(), 0, stream::to_the_end, 60s);
    e.client.shutdown_write();
    const auto got = reader.join();
    BOOST_TEST((sent == got.size() && text_of(got).starts_with("Name:")));
    std::error_code ec;
    BOOST_TEST(unix_stream::pair().first.send_file(f.native_handle(), 1'000'000, 5, 60s, ec) == 0u);
    BOOST_TEST((ec == errc::end_of_stream));
  });
}

BOOST_AUTO_TEST_CASE(a_file_that_is_shorter) {
  const temporary_folder folder;
  heddle::run([&] {
    const file f = written(folder.path("f"), 1000);
    two_ends e = connected();
    std::error_code ec;
    BOOST_TEST(e.client.send_file(f.native_handle(), 0, 2000, 60s, ec) == 1000u);
    BOOST_TEST((ec == errc::end_of_stream));
    BOOST_TEST(e.client.send_file(f.native_handle(), 5000, 1, 60s, ec) == 0u);
    BOOST_TEST((ec == errc::end_of_stream));
    BOOST_TEST(e.client.send_file(-1, 0, 1, 60s, ec) == 0u);
    BOOST_TEST((ec == std::errc::bad_file_descriptor));
    BOOST_TEST(tcp_stream().send_file(f.native_handle(), 0, 1, 60s, ec) == 0u);
    BOOST_TEST((ec == errc::closed));
    BOOST_CHECK_THROW(e.client.send_file(f.native_handle(), 0, 2000, 60s), heddle::io::error);
  });
}

/// Descriptors that others have are in blocking mode, and nobody reads here.
BOOST_AUTO_TEST_CASE(limits_hold_for_shared_streams) {
  const temporary_folder folder;
  for (const auto& setting : all_settings) {
    const file f = written(folder.path("f"), 3'000'000);
    with_crew(setting, [&](crew& c) {
      std::array<int, 2> ends{}, sockets{};
      expect(::pipe2(ends.data(), O_CLOEXEC) == 0);
      expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) == 0);
      c.start([&] {
        for (const int fd : {ends[1], sockets[1]}) {
          shared_stream out = shared_stream::of(fd, "out");
          std::error_code ec;
          const std::size_t sent = out.send_file(f.native_handle(), 0, 3'000'000, 20ms, ec);
          expect(ec == std::errc::timed_out && sent != 0 && sent < 3'000'000);
        }
      });
      c.join();
      for (const int fd : {ends[0], ends[1], sockets[0], sockets[1]}) ::close(fd);
    });
  }
}

BOOST_AUTO_TEST_CASE(slow_and_lost_readers) {
  const auto usual = std::signal(SIGPIPE, SIG_DFL);
  const temporary_folder folder;
  for (const auto& setting : all_settings) {
    const file f = written(folder.path("f"), 30'000'000);
    with_crew(setting, [&](crew& c) {
      two_ends slow = connected(), lost = connected();
      c.start([&] {
        std::error_code ec;
        const std::size_t sent = slow.client.send_file(f.native_handle(), 0, 30'000'000, 20ms, ec);
        expect(ec == std::errc::timed_out && sent != 0 && sent < 30'000'000);
        slow.client.shutdown_write();
        expect(read_all(slow.server).size() == sent);
        lost.server.close();
        const std::size_t none = lost.client.send_file(f.native_handle(), 0, 30'000'000, 60s, ec);
        expect(none < 30'000'000 && (ec == std::errc::broken_pipe || ec == std::errc::connection_reset));
        lost.client.send_file(f.native_handle(), 0, 1, 60s, ec);
        expect(ec == std::errc::broken_pipe);
      });
      c.join();
    });
  }
  std::signal(SIGPIPE, usual);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(streams_to_streams, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_proxy_passes_on_bytes_and_ends_both_ways) {
  const auto question = pattern(1'000'000), answer = pattern(777'777);
  for (const auto& setting : all_settings) {
    with_crew(setting, [&](crew& c) {
      two_ends front = connected(), back = connected();
      c.start([&] {
        expect(splice_all(front.server, back.client, 60s) == question.size());
        back.client.shutdown_write();
      });
      c.start([&] {
        expect(splice_all(back.client, front.server, 60s) == answer.size());
        front.server.shutdown_write();
      });
      c.start([&] {
        front.client.write(question, 60s);
        front.client.shutdown_write();
      });
      c.start([&] {
        expect(read_all(back.server) == question);  // the end comes before the answer begins
        back.server.write(answer, 60s);
        back.server.shutdown_write();
      });
      c.start([&] { expect(read_all(front.client) == answer); });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(bytes_go_on_as_they_come) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      two_ends front = connected(), back = connected();
      c.start([&] { splice_all(front.server, back.client, 60s); });
      c.start([&] {
        std::array<std::byte, 1> b;
        for (int i = 0; i < 100; ++i) {
          b[0] = static_cast<std::byte>(i);
          front.client.write(b, 60s);
          expect(back.server.read_some(b, 60s) == 1 && b[0] == static_cast<std::byte>(i));
        }
        front.client.close();
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(streams_of_all_kinds) {
  const auto all = pattern(300'000);
  heddle::run([&] {
    for (int kind = 0; kind != 5; ++kind) {
      auto first = heddle::io::pipe(), last = heddle::io::pipe();
      auto [a, b] = unix_stream::pair();
      shared_stream shared_in = shared_stream::of(first.reader.native_handle(), "in");
      shared_stream shared_out = shared_stream::of(last.writer.native_handle(), "out");
      stream& from = kind == 1 ? static_cast<stream&>(shared_in) : first.reader;
      stream& to = kind == 2 ? static_cast<stream&>(shared_out) : kind == 3 ? static_cast<stream&>(a) : last.writer;
      stream& end = kind == 3 ? static_cast<stream&>(b) : last.reader;
      auto writer = heddle::spawn([&] {
        first.writer.write(all, 60s);
        first.writer.close();
      });
      auto reader = heddle::spawn([&] { return read_all(end); });
      BOOST_TEST(splice_all(from, to, 60s) == all.size());
      shared_out.close();
      last.writer.close();
      a.close();
      writer.join();
      BOOST_TEST((reader.join() == all));
    }
  });
}

BOOST_AUTO_TEST_CASE(what_the_other_stream_has_no_room_for_waits) {
  const auto all = pattern(300'000);
  for (const auto& setting : all_settings) {
    with_crew(setting, [&](crew& c) {
      auto first = heddle::io::pipe(), last = heddle::io::pipe(4096);
      c.start([&] {
        first.writer.write(all, 60s);
        first.writer.close();
      });
      c.start([&] {
        expect(splice_all(first.reader, last.writer, 60s) == all.size());
        last.writer.close();
      });
      c.start([&] { expect(read_all(last.reader) == all); });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_spliced_into_is_copied) {
  const temporary_folder folder;
  const auto all = pattern(300'000);
  heddle::run([&] {
    auto p = heddle::io::pipe();
    file f = file::open(folder.path("f"), O_RDWR | O_CREAT | O_APPEND);
    // Of its own kind, so that it is tried; the system refuses files that are appended to.
    heddle::io::pipe_stream to = heddle::io::pipe_stream::adopt(::dup(f.native_handle()), "a file");
    auto writer = heddle::spawn([&] {
      p.writer.write(all, 60s);
      p.writer.close();
    });
    BOOST_TEST(splice_all(p.reader, to, 60s) == all.size());
    std::vector<std::byte> got(all.size() + 1);
    BOOST_TEST(f.read_at(got, 0) == all.size());
    got.pop_back();
    BOOST_TEST((got == all));
  });
}

BOOST_AUTO_TEST_CASE(ends_with_errors) {
  const auto usual = std::signal(SIGPIPE, SIG_DFL);
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      two_ends front = connected(), back = connected();
      c.start([&] {
        std::error_code ec;
        front.client.write("hello", 60s);
        expect(splice_all(front.server, back.client, 5ms, ec) == 5 && ec == std::errc::timed_out);
        std::stop_source source;
        source.request_stop();
        expect(splice_all(front.server, back.client, source.get_token(), ec) == 0);
        expect(ec == std::errc::operation_canceled);
        auto p = heddle::io::pipe();
        p.reader.close();
        front.client.write("hello", 60s);
        expect(splice_all(front.server, p.writer, 60s, ec) == 0 && ec == std::errc::broken_pipe);
        back.client.close();
        front.client.write("hello", 60s);
        expect(splice_all(front.server, back.client, 60s, ec) == 0 && ec == errc::closed);
        tcp_stream none;
        expect(splice_all(none, front.server, 60s, ec) == 0 && ec == errc::closed);
      });
      c.join();
    });
  }
  std::signal(SIGPIPE, usual);
  heddle::run([] {
    two_ends front = connected();
    tcp_stream none;
    BOOST_CHECK_EXCEPTION(splice_all(front.client, none), heddle::io::error, [&](const auto& e) {
      return e.what() == "splice " + front.client.name() + " to a closed stream: closed";
    });
  });
}

BOOST_AUTO_TEST_SUITE_END()

// To those that have gone, by each call that sends, as a process does that has SIGPIPE as usual.
BOOST_AUTO_TEST_SUITE(gone)

namespace {

using heddle::testing::death_of;

/// A stream of each kind whose far end has gone. An attempt before lets the reset of a connection come.
struct lost_ends {
  lost_ends() {
    two_ends e = connected();
    e.server.close();
    std::error_code ec;
    const std::vector<std::byte> some(1000);
    for (int i = 0; i != 1000 && !ec; ++i) {
      e.client.write(some, 1s, ec);
      if (!ec) e.client.wait_writable(1s, ec);
    }
    if (ec != std::errc::broken_pipe && ec != std::errc::connection_reset) ::_exit(20);
    tcp = std::move(e.client);
    local = unix_stream::pair().first;
    writer = heddle::io::pipe().writer;
    shared_pipe = shared_stream::of(shared_end().get(), "a shared pipe");
    shared_socket = shared_stream::of(local.native_handle(), "a shared socket");
  }
  static heddle::io::owned_descriptor shared_end() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ::_exit(21);
    ::close(ends[0]);
    return heddle::io::owned_descriptor(ends[1]);
  }
  std::array<stream*, 5> all() { return {&tcp, &local, &writer, &shared_pipe, &shared_socket}; }

  tcp_stream tcp;
  unix_stream local;
  heddle::io::pipe_stream writer;
  shared_stream shared_pipe, shared_socket;
};

/// True: each call has ended with an error that says that the far end is gone.
bool send_in_vain(int file) {
  lost_ends lost;
  const auto one = pattern(1);
  const std::array<iovec, 2> two{iovec{const_cast<std::byte*>(one.data()), 1},
                                 iovec{const_cast<std::byte*>(one.data()), 1}};
  bool right = true;
  for (stream* to : lost.all())
    for (int call = 0; call != 5; ++call) {
      std::error_code ec;
      two_ends source = connected();
      source.client.write(one);
      switch (call) {
        case 0: to->write(one, 20s, ec); break;
        case 1: to->write(two, 20s, ec); break;
        case 2: to->write_some(one, 20s, ec); break;
        case 3: to->send_file(file, 0, 10, 20s, ec); break;
        case 4: splice_all(source.server, *to, 20s, ec); break;
      }
      if (ec != std::errc::broken_pipe && ec != std::errc::connection_reset) {
        std::fprintf(stderr, "call %d to %s: %s\n", call, to->name().c_str(), ec.message().c_str());
        right = false;
      }
    }
  std::error_code ec;
  const std::array<int, 1> descriptors{file};
  lost.local.send(one, descriptors, 20s, ec);
  return right && ec == std::errc::broken_pipe;
}

}  // namespace

BOOST_AUTO_TEST_CASE(peers_kill_nobody, *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const temporary_folder folder;
  const file f = written(folder.path("f"), 100);
  for (const bool on_fiber : {true, false}) {
    const auto end = death_of([&] {
      std::signal(SIGPIPE, SIG_DFL);
      const bool right = on_fiber ? heddle::run([&] { return send_in_vain(f.native_handle()) ? 1 : 0; }) != 0
                                  : send_in_vain(f.native_handle());
      ::_exit(right ? 7 : 8);
    });
    BOOST_TEST(end.signal == 0);
    BOOST_TEST(end.status == 7, end.text);
  }
}

// Nor later: a program that holds the signal back finds none that is ours, and one that is its own.
BOOST_AUTO_TEST_CASE(peers_leave_no_signal, *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const temporary_folder folder;
  const file f = written(folder.path("f"), 100);
  for (const bool has_one : {true, false}) {
    const auto end = death_of([&] {
      sigset_t pipe, pending;
      ::sigemptyset(&pipe);
      ::sigaddset(&pipe, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      if (has_one) ::pthread_kill(::pthread_self(), SIGPIPE);
      const bool right = send_in_vain(f.native_handle());
      ::sigpending(&pending);
      ::_exit(right && ::sigismember(&pending, SIGPIPE) == (has_one ? 1 : 0) ? 7 : 8);
    });
    BOOST_TEST(end.status == 7, end.text);
  }
}

BOOST_AUTO_TEST_SUITE_END()
