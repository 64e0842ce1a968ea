// SPDX-License-Identifier: BSL-1.0
//
// A proxy between clients and servers of the test: what goes through, and how connections end.
#include "tcp_proxy.hpp"

#include <sys/resource.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "heddle/heddle.hpp"
#include "settled.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using examples::tcp_proxy;
using examples::tcp_proxy_options;
using heddle::net::endpoint;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;
using bytes = std::vector<std::byte>;
using handler = std::function<void(tcp_stream&)>;

bytes pattern(std::size_t n, std::size_t seed = 0) {
  bytes b(n);
  for (std::size_t i = 0; i != n; ++i) b[i] = static_cast<std::byte>(seed + i * 7 + i / 251);
  return b;
}

bytes read_to_end(tcp_stream& s) {
  bytes all;
  std::array<std::byte, 16'384> part;
  while (const std::size_t n = s.read_some(part, 30s)) all.insert(all.end(), part.begin(), part.begin() + n);
  return all;
}

void echo(tcp_stream& s) {
  std::array<std::byte, 4096> b;
  while (const std::size_t n = s.read_some(b)) s.write(std::span(b).first(n));
}

/// How the connection ends.
std::error_code end_of(tcp_stream& s) {
  std::error_code ec;
  std::array<std::byte, 4096> b;
  while (s.read_some(b, 30s, ec) != 0) {
  }
  return ec;
}

std::size_t open_pipes() {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with("pipe:")) ++n;
  }
  return n;
}

/// A server, and a proxy before it.
struct proxied {
  explicit proxied(handler h, tcp_proxy_options o = {})
      : backend(tcp_listener::listen(endpoint::loopback_v4(0))),
        proxy(endpoint::loopback_v4(0), backend.local_endpoint().to_string(), std::move(o)),
        serving(heddle::spawn([this, h] { heddle::net::serve(backend, h, stop.get_token(), {.grace = 0s}); })),
        relaying(heddle::spawn([this] { proxy.run(proxy_stop.get_token()); })) {}
  ~proxied() {
    end_proxy();
    stop.request_stop();
  }
  void end_proxy() {
    proxy_stop.request_stop();
    if (relaying.joinable()) relaying.join();
  }
  tcp_stream client() const { return tcp_stream::connect(proxy.local_endpoint()); }

  tcp_listener backend;
  tcp_proxy proxy;
  std::stop_source stop, proxy_stop;
  heddle::join_handle<void> serving, relaying;
};

template <class Test>
void by_splice_and_by_copy(Test test) {
  for (const bool by_splice : {true, false}) {
    BOOST_TEST_MESSAGE((by_splice ? "by splice" : "by copy"));
    heddle::run([&] { test(by_splice); });
  }
}

/// Two hundred connections through a proxy take more descriptors than many systems give at first.
struct more_descriptors {
  more_descriptors() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
};
using settled_network = heddle::testing::settled_network<1000>;

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(more_descriptors);
BOOST_TEST_GLOBAL_FIXTURE(settled_network);

BOOST_FIXTURE_TEST_SUITE(tcp_proxy_example, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(much_goes_both_ways_at_once) {
  by_splice_and_by_copy([](bool by_splice) {
    const bytes there = pattern(20'000'000), back = pattern(15'000'000, 99);
    bytes arrived;
    heddle::wait_group all_read(1);
    const proxied p(
        [&](tcp_stream& s) {
          auto writer = heddle::spawn([&] {
            s.write(back);
            s.shutdown_write();
          });
          arrived = read_to_end(s);
          writer.join();
          all_read.done();
        },
        {.by_splice = by_splice});
    tcp_stream c = p.client();
    auto writer = heddle::spawn([&] {
      c.write(there);
      c.shutdown_write();
    });
    BOOST_TEST((read_to_end(c) == back));
    writer.join();
    all_read.wait();
    BOOST_TEST((arrived == there));
  });
}

BOOST_AUTO_TEST_CASE(splice_takes_a_pipe_for_each_way) {
  by_splice_and_by_copy([](bool by_splice) {
    const std::size_t others = open_pipes();
    const proxied p(echo, {.by_splice = by_splice});
    tcp_stream c = p.client();
    c.write("x");
    std::array<std::byte, 1> b;
    BOOST_TEST(c.read(b, 30s) == 1u);
    BOOST_TEST(open_pipes() - others == (by_splice ? 4u : 0u));
  });
}

BOOST_AUTO_TEST_CASE(a_half_close_is_passed_on_and_the_answer_comes) {
  by_splice_and_by_copy([](bool by_splice) {
    const proxied p(
        [](tcp_stream& s) {
          const bytes question = read_to_end(s);  // ends by the half-close alone
          s.write(std::to_string(question.size()));
        },
        {.by_splice = by_splice});
    tcp_stream c = p.client();
    c.write(pattern(123'456));
    c.shutdown_write();
    const bytes answer = read_to_end(c);
    BOOST_TEST(std::string(reinterpret_cast<const char*>(answer.data()), answer.size()) == "123456");
  });
}

BOOST_AUTO_TEST_CASE(a_reset_is_passed_on_as_one) {
  by_splice_and_by_copy([](bool by_splice) {
    std::error_code at_server;
    heddle::wait_group begun(1), ended(1);
    const proxied p(
        [&](tcp_stream& s) {
          std::array<std::byte, 1> b;
          s.read(b);
          begun.done();
          at_server = end_of(s);
          ended.done();
        },
        {.by_splice = by_splice});
    tcp_stream c = p.client();
    c.write("x");
    begun.wait();
    std::error_code ec;
    c.reset_on_close(ec);
    c.close();
    ended.wait();
    BOOST_TEST((at_server == std::errc::connection_reset), at_server.message());

    // The other way round, while the client writes what nobody reads.
    const proxied q(
        [](tcp_stream& s) {
          std::array<std::byte, 1> b;
          s.read(b);
          std::error_code ignored;
          s.reset_on_close(ignored);
        },
        {.by_splice = by_splice});
    tcp_stream d = q.client();
    d.write(pattern(10'000'000), 30s, ec);
    if (!ec) ec = end_of(d);  // the system had taken all before
    BOOST_TEST((ec == std::errc::connection_reset || ec == std::errc::broken_pipe), ec.message());
  });
}

/// Two connections of a proxy. The server of the second has gone by a reset, and the system has told so: it tells once.
struct half_lost {
  half_lost() : a(connected(client)) {
    tcp_stream gone;
    b = connected(gone);
    std::error_code ignored;
    gone.reset_on_close(ignored);
    gone.close();
    BOOST_TEST((end_of(b) == std::errc::connection_reset));
  }
  tcp_stream connected(tcp_stream& peer) {
    peer = tcp_stream::connect(listener.local_endpoint());
    return listener.accept();
  }
  tcp_listener listener = tcp_listener::listen(endpoint::loopback_v4(0));
  tcp_stream client, a, b;
};

// After the reset has been told reading finds an end, which is not to be passed on as one.
BOOST_AUTO_TEST_CASE(a_reset_that_the_other_way_was_told_of) {
  by_splice_and_by_copy([](bool by_splice) {
    half_lost h;
    const std::stop_token none;
    BOOST_CHECK_EXCEPTION(examples::relay(h.a, h.b, 60s, by_splice).run(none), heddle::io::error,
                          [](const heddle::io::error& e) { return e.code() == std::errc::connection_reset; });
    std::error_code ignored;
    h.a.reset_on_close(ignored);
    h.a.close();
    BOOST_TEST((end_of(h.client) == std::errc::connection_reset));
  });
}

// After the reset has been told splice(2) raises SIGPIPE.
BOOST_AUTO_TEST_CASE(a_peer_that_has_gone_raises_no_signal) {
  heddle::run([] {
    const proxied p(echo);  // a proxy has been made
    half_lost h;
    h.client.write("x");
    const std::stop_token none;
    BOOST_CHECK_EXCEPTION(examples::relay(h.a, h.b, 60s, true).run(none), heddle::io::error,
                          [](const heddle::io::error& e) {
                            return e.code() == std::errc::broken_pipe ||
                                   e.code() == std::errc::connection_reset;  // whichever way is first
                          });
  });
}

BOOST_AUTO_TEST_CASE(no_target_is_a_reset_and_the_proxy_goes_on) {
  heddle::run([] {
    std::atomic<int> told{0};
    proxied p(echo, {.on_exception = [&](const std::exception_ptr&, const std::string&) { ++told; }});
    p.stop.request_stop();
    p.serving.join();
    for (int i = 0; i != 3; ++i) {
      std::error_code ec;  // the reset may come before connect() has looked at the connection
      tcp_stream c = tcp_stream::connect(p.proxy.local_endpoint(), {}, ec);
      if (!ec) ec = end_of(c);
      BOOST_TEST((ec == std::errc::connection_reset), ec.message());
    }
    p.end_proxy();
    BOOST_TEST(told == 3);
  });
}

BOOST_AUTO_TEST_CASE(two_hundred_connections) {
  heddle::run([] {
    constexpr std::size_t connections = 200;
    const proxied p(echo);
    heddle::wait_group all_there(connections);
    heddle::group clients;
    for (std::size_t i = 0; i != connections; ++i)
      clients.spawn([&, i] {
        tcp_stream c = p.client();
        const bytes sent = pattern(10'000 + i, i);
        bytes got(sent.size());
        for (int round = 0; round != 3; ++round) {
          c.write(sent);
          c.read(got, 30s);
          if (got != sent) throw std::runtime_error("other bytes came back");
          if (round != 0) continue;
          all_there.done();
          all_there.wait();
        }
        c.shutdown_write();
        if (!read_to_end(c).empty()) throw std::runtime_error("more bytes came back");
      });
    BOOST_CHECK_NO_THROW(clients.wait());
  });
}

BOOST_AUTO_TEST_CASE(no_more_connections_than_allowed) {
  heddle::run([] {
    constexpr int allowed = 3;
    std::atomic<int> now{0}, most{0};
    heddle::wait_group so_many(allowed);
    std::atomic<int> begun{0};
    const proxied p(
        [&](tcp_stream& s) {
          const int n = ++now;
          for (int seen = most; seen < n && !most.compare_exchange_weak(seen, n);) {
          }
          if (++begun <= allowed) {  // the first wait for each other
            so_many.done();
            so_many.wait_for(30s);
          }
          std::array<std::byte, 1> b;
          s.read(b);
          --now;
          s.write(b);
        },
        {.most_connections = allowed});
    heddle::group clients;
    for (int i = 0; i != 20; ++i)
      clients.spawn([&] {
        tcp_stream c = p.client();
        c.write("x");
        c.shutdown_write();
        if (read_to_end(c).size() != 1) throw std::runtime_error("no answer");
      });
    BOOST_CHECK_NO_THROW(clients.wait());
    BOOST_TEST(most == allowed);
  });
}

/// Sends a byte now and then for longer than `idle`, and is silent then. Whether the connection lasted until then, and
/// was reset after a silence of `idle`; false if the machine has let the test sleep for so long.
bool is_cut_when_idle(bool by_splice, std::chrono::milliseconds idle) {
  using clock = std::chrono::steady_clock;
  std::atomic<std::size_t> arrived{0};
  const proxied p(
      [&](tcp_stream& s) {
        std::array<std::byte, 1> b;
        std::error_code ec;
        while (s.read_some(b, ec) != 0) ++arrived;
      },
      {.idle = idle, .by_splice = by_splice});
  tcp_stream c = p.client();
  const auto begin = clock::now();
  auto written = begin;
  for (std::size_t sent = 1; clock::now() - begin < idle + idle / 2; ++sent) {
    const auto last = std::exchange(written, clock::now());
    std::error_code ec;
    c.write(bytes(1), ec);
    while (!ec && arrived != sent && clock::now() - last < idle) heddle::this_fiber::sleep_for(1ms);
    if (clock::now() - last >= idle) return false;
    BOOST_TEST(!ec, ec.message());
    heddle::this_fiber::sleep_for(10ms);
  }
  BOOST_TEST((end_of(c) == std::errc::connection_reset));
  BOOST_TEST((clock::now() - written >= idle));
  return true;
}

// One way is silent all the time. Only when both are the connection is idle.
BOOST_AUTO_TEST_CASE(idle_is_what_moves_no_byte_either_way) {
  by_splice_and_by_copy([](bool by_splice) {
    auto idle = 300ms;
    while (!is_cut_when_idle(by_splice, idle) && idle < 20s) idle *= 2;
    BOOST_TEST((idle < 20s), "no such quiet moment");
  });
}

BOOST_AUTO_TEST_CASE(a_stop_lets_connections_end) {
  heddle::run([] {
    proxied p(echo, {.grace = 60s});
    tcp_stream c = p.client();
    std::array<std::byte, 4> b;
    c.write("ping");
    c.read(b, 30s);
    p.proxy_stop.request_stop();
    std::error_code refused;
    for (int i = 0; i != 30'000 && refused != std::errc::connection_refused; ++i) {
      tcp_stream::connect(p.proxy.local_endpoint(), {}, refused);
      heddle::this_fiber::sleep_for(1ms);
    }
    BOOST_TEST((refused == std::errc::connection_refused), refused.message());
    c.write("pong");
    BOOST_TEST(c.read(b, 30s) == 4u);
    c.shutdown_write();
    BOOST_TEST(!end_of(c));
    p.relaying.join();
  });
}

BOOST_AUTO_TEST_CASE(what_is_left_after_the_grace_period_is_cut) {
  by_splice_and_by_copy([](bool by_splice) {
    proxied p(echo, {.grace = 5ms, .by_splice = by_splice});
    tcp_stream c = p.client();
    std::array<std::byte, 4> b;
    c.write("ping");
    c.read(b, 30s);
    p.end_proxy();
    BOOST_TEST((end_of(c) == std::errc::connection_reset));
  });
}

BOOST_AUTO_TEST_SUITE_END()
