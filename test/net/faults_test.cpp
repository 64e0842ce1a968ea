// SPDX-License-Identifier: BSL-1.0
//
// TCP, and segments of UDP, when calls of the kernel fail, come back early, or meet what happens at the same moment:
// each of those of TCP has been a bug of some library (README.md).
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "heddle/heddle.hpp"
#include "heddle/net/serve.hpp"
#include "heddle/net/udp.hpp"
#include "net/networks.hpp"
#include "support/scale.hpp"
#include "support/socket_calls.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;
using heddle::net::udp_socket;
using heddle::testing::interference;
using heddle::testing::socket_call;
using networks::text_from;
using bytes = std::vector<std::byte>;
using two_ends = networks::two_ends<networks::tcp>;

two_ends connected() {
  networks::tcp net;
  return networks::connected(net);
}

/// Fails calls of one kind: as many as it is told to.
struct failing : interference {
  failing(socket_call w, int e, int n) : which(w), error(e), left(n) {}
  int before(socket_call c, int, std::size_t&) noexcept override {
    if (c != which) return 0;
    ++calls;
    return left.fetch_sub(1) > 0 ? error : 0;
  }
  const socket_call which;
  const int error;
  std::atomic<int> left;
  std::atomic<int> calls{0};
};

int free_descriptor() {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(fd);
  return fd;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(faults)

// Each option of a listener that cannot be set is its error, and the descriptor is closed.
BOOST_AUTO_TEST_CASE(a_listener_without_its_options) {
  heddle::run([] {
    const int next = free_descriptor();
    for (int earlier = 0; earlier != 3; ++earlier) {
      std::atomic<int> seen{0};
      struct nth : interference {
        nth(std::atomic<int>& s, int n) : calls(s), failing(n) {}
        int before(socket_call c, int, std::size_t&) noexcept override {
          return c == socket_call::set_option && calls++ == failing ? ENOBUFS : 0;
        }
        std::atomic<int>& calls;
        const int failing;
      } fails(seen, earlier);
      std::error_code ec;
      const tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0), {}, ec);
      BOOST_TEST((ec == std::errc::no_buffer_space));
      BOOST_TEST(!l.is_open());
      BOOST_TEST(seen == earlier + 1);
      BOOST_TEST(free_descriptor() == next);
    }
  });
}

// Connections have their options from the listener: there is nothing that could fail after accept().
BOOST_AUTO_TEST_CASE(an_accepted_connection_needs_no_option) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    tcp_stream c = tcp_stream::connect(l.local_endpoint());
    failing options(socket_call::set_option, ENOBUFS, 1'000);
    tcp_stream s = l.accept(10s);
    BOOST_TEST(options.calls == 0);
    c.write("x");
    BOOST_TEST(text_from(s, 1) == "x");
  });
}

// A stop that comes when the kernel has given the connection already: the connection is there, and not lost.
BOOST_AUTO_TEST_CASE(accept_succeeds_while_it_is_stopped) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    std::stop_source stop;
    struct stopping : interference {
      explicit stopping(std::stop_source& s) : stop(s) {}
      int after(socket_call c, int, std::size_t, std::ptrdiff_t result) noexcept override {
        if (c == socket_call::accept && result >= 0) stop.request_stop();
        return 0;
      }
      std::stop_source& stop;
    } stops(stop);
    auto acceptor = heddle::spawn([&] {
      std::error_code ec;
      tcp_stream s = l.accept({10s, stop.get_token()}, ec);
      BOOST_TEST(!ec, ec.message());
      return s;
    });
    heddle::this_fiber::sleep_for(1ms);
    tcp_stream c = tcp_stream::connect(l.local_endpoint());
    tcp_stream s = acceptor.join();
    BOOST_TEST_REQUIRE(s.is_open());
    BOOST_TEST(stop.stop_requested());
    c.write("x");
    BOOST_TEST(text_from(s, 1) == "x");
  });
}

// The socket becomes writable again between the attempt that finds it full and the wait for an event.
BOOST_AUTO_TEST_CASE(room_comes_between_a_write_and_its_wait) {
  heddle::run([] {
    two_ends c = connected();
    struct draining : interference {
      explicit draining(int p) : peer(p) {}
      int after(socket_call call, int fd, std::size_t asked, std::ptrdiff_t result) noexcept override {
        if (call != socket_call::send || fd == peer || result == static_cast<std::ptrdiff_t>(asked)) return 0;
        ++full;
        bytes b(1 << 20);
        // All that is there, and what is under way: on a machine with much to do the kernel delivers it later.
        for (bool more = true; more;) {
          more = under_way(fd);
          const ssize_t n = ::recvfrom(peer, b.data(), b.size(), MSG_DONTWAIT, nullptr, nullptr);
          if (n <= 0) continue;
          more = true;
          drained += static_cast<std::size_t>(n);
        }
        return 0;
      }
      static bool under_way(int fd) noexcept {
        int unacknowledged = 0;
        return ::ioctl(fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged != 0;
      }
      const int peer;
      std::atomic<int> full{0};
      std::atomic<std::size_t> drained{0};
    } drains(c.server.native_handle());
    constexpr std::size_t size = 30'000'000;
    std::error_code ec;
    BOOST_TEST(c.client.write(bytes(size), 20s, ec) == size);
    BOOST_TEST(!ec, ec.message());
    BOOST_TEST(drains.full > 0);
    BOOST_TEST(drains.drained > 0u);
  });
}

// The same for a reader: a byte comes when the attempt has found less than it asked for.
BOOST_AUTO_TEST_CASE(a_byte_comes_between_a_read_and_its_wait) {
  heddle::run([] {
    two_ends c = connected();
    struct sending : interference {
      sending(int r, int w) : reader(r), writer(w) {}
      int after(socket_call call, int fd, std::size_t asked, std::ptrdiff_t result) noexcept override {
        if (call != socket_call::receive || fd != reader || result <= 0 ||
            result >= static_cast<std::ptrdiff_t>(asked) || sent.exchange(true))
          return 0;
        (void)!::write(writer, "x", 1);
        return 0;
      }
      const int reader, writer;
      std::atomic<bool> sent{false};
    } sends(c.server.native_handle(), c.client.native_handle());
    c.client.write("a");
    std::array<std::byte, 16> b;
    BOOST_TEST(c.server.read_some(b, 10s) == 1u);
    BOOST_TEST(sends.sent);
    BOOST_TEST(text_from(c.server, 1) == "x");
  });
}

// The kernel connects a socket to itself if the port that it is given is the one that it calls: here it always is.
BOOST_AUTO_TEST_CASE(a_connection_to_oneself_is_refused) {
  heddle::run([] {
    struct binding : interference {
      int before(socket_call c, int fd, std::size_t&) noexcept override {
        if (c == socket_call::connect) bound = ::bind(fd, self.data(), self.size()) == 0;
        return 0;
      }
      endpoint self;
      bool bound = false;
    } binds;
    std::error_code ec;
    tcp_stream s;
    for (int i = 0; i != 20 && !binds.bound; ++i) {
      binds.self = tcp_listener::listen(endpoint::loopback_v4(0)).local_endpoint();  // free again, if nobody takes it
      s = tcp_stream::connect(binds.self, 10s, ec);
    }
    BOOST_TEST(binds.bound);
    BOOST_TEST((ec == std::errc::connection_refused));
    BOOST_TEST(!s.is_open());
  });
}

// Interrupted after it has begun, connect() goes on by itself.
BOOST_AUTO_TEST_CASE(an_interrupted_connect_is_awaited) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    struct interrupting : interference {
      int after(socket_call c, int, std::size_t, std::ptrdiff_t) noexcept override {
        return c == socket_call::connect && !done.exchange(true) ? EINTR : 0;
      }
      std::atomic<bool> done{false};
    } interrupts;
    tcp_stream c = tcp_stream::connect(l.local_endpoint(), 10s);
    tcp_stream s = l.accept(10s);
    c.write("x");
    BOOST_TEST(text_from(s, 1) == "x");
    BOOST_TEST(interrupts.done);
  });
}

// Without descriptors serve() pauses, twice as long each time, and neither spins nor loses the connection.
BOOST_AUTO_TEST_CASE(no_spinning_without_descriptors) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    failing accepts(socket_call::accept, EMFILE, 5);
    std::stop_source stop;
    const auto begin = std::chrono::steady_clock::now();
    tcp_stream c = tcp_stream::connect(l.local_endpoint());
    c.write("x");
    auto serving = heddle::spawn([&] {
      heddle::net::serve(
          l, [](tcp_stream& s) { s.write(text_from(s, 1)); }, stop.get_token());
    });
    BOOST_TEST(text_from(c, 1) == "x");
    // One attempt with the reserve at once, then pauses of 5, 10, 20 and 40 ms.
    BOOST_TEST((std::chrono::steady_clock::now() - begin >= 75ms));
    BOOST_TEST(accepts.calls >= 6);
    BOOST_TEST(accepts.calls <= 7);  // the last finds nobody
    c.close();
    stop.request_stop();
    serving.join();
  });
}

// Interruptions, empty hands and short counts change nothing of what goes through.
BOOST_AUTO_TEST_CASE(attempts_that_come_to_little) {
  heddle::run([] {
    struct hindering : interference {
      int before(socket_call c, int fd, std::size_t& size) noexcept override {
        const unsigned n = ++calls;
        if (c == socket_call::wait) return n % 5 == 0 ? EINTR : 0;
        if (c != socket_call::receive && c != socket_call::send) return 0;
        if (n % 7 == 0) return EINTR;
        if (n % 3 == 0) return size = 1 + size / 3, 0;
        if (n % 11 != 0) return 0;
        heddle::testing::report_again(fd);
        return EAGAIN;
      }
      int after(socket_call c, int fd, std::size_t, std::ptrdiff_t) noexcept override {
        if (c == socket_call::receive || c == socket_call::send) heddle::testing::report_again(fd);
        return 0;
      }
      std::atomic<unsigned> calls{0};
    } hinders;
    two_ends c = connected();
    const bytes sent = networks::pattern(3'000'000);
    auto writer = heddle::spawn([&] { c.client.write(sent, 60s); });
    bytes got(sent.size());
    BOOST_TEST(c.server.read(got, 60s) == sent.size());
    BOOST_TEST((got == sent));
    writer.join();
  });
}

namespace {

/// All that a socket for datagrams has got: sizes in their order, and all bytes.
struct collected {
  std::vector<std::size_t> sizes;
  bytes all;
};
collected take_all(udp_socket& s) {
  collected got;
  bytes room(65'536);
  for (std::error_code ec; !ec;) {
    const auto r = s.receive_from(room, 200ms, ec);
    if (ec) break;
    got.sizes.push_back(r.size);
    got.all.insert(got.all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(r.size));
  }
  return got;
}

/// Calls that send fail from the `first` one on, `n` of them; each may send one message, and a message as a whole.
struct refusing : interference {
  refusing(int f, int e, int n) : first(f), error(e), last(f + n) {}
  int before(socket_call c, int, std::size_t& size) noexcept override {
    if (c != socket_call::send) return 0;
    const int call = calls++;
    if (size > 1 && size <= udp_socket::most_at_once) size = 2;  // of sendmmsg()
    return call >= first && call < last ? error : 0;
  }
  const int first, error, last;
  std::atomic<int> calls{0};
};

}  // namespace

// The system refuses to cut, at once or when it has done so before: the rest is sent otherwise, and each byte counts
// once.
BOOST_AUTO_TEST_CASE(segments_that_the_system_ceases_to_cut) {
  constexpr std::size_t size = 100, in_one = 64 * size;
  const bytes sent = networks::pattern(2 * in_one + 3 * size + 7);
  for (const int error : {EIO, EINVAL, EOPNOTSUPP, EMSGSIZE})
    for (const int first : {0, 1, 2}) {
      udp_socket a = udp_socket::bind(endpoint::loopback_v4(0)), b = udp_socket::bind(endpoint::loopback_v4(0));
      std::error_code ec;
      {
        const refusing refuses(first, error, 1);
        BOOST_TEST(a.send_segments(b.local_endpoint(), sent, size, 10s, ec) == sent.size());
        BOOST_TEST(!ec, ec.message());
        BOOST_TEST(refuses.calls > first + 1);
      }
      const collected got = take_all(b);
      BOOST_TEST(got.sizes.size() == 132u);
      BOOST_TEST((got.all == sent));
    }
}

// Then that fails as well, in the midst: the number is that of the bytes which are under way.
BOOST_AUTO_TEST_CASE(segments_of_which_some_are_sent) {
  constexpr std::size_t size = 100, in_one = 64 * size;
  const bytes sent = networks::pattern(2 * in_one + 50);
  struct expectation {
    int first, error, n;
    std::size_t sent;
  };
  for (const expectation& e : {expectation{0, EPERM, 1, 0},              // not a refusal
                               expectation{1, EPERM, 1, in_one},         // nor the second one
                               expectation{1, EIO, 2, in_one},           // a refusal; nor can it be sent otherwise
                               expectation{2, EPERM, 1, 2 * in_one}}) {  // the rest, which is shorter
    udp_socket a = udp_socket::bind(endpoint::loopback_v4(0)), b = udp_socket::bind(endpoint::loopback_v4(0));
    std::error_code ec;
    {
      const refusing refuses(e.first, e.error, e.n);
      BOOST_TEST(a.send_segments(b.local_endpoint(), sent, size, 10s, ec) == e.sent);
    }
    BOOST_TEST(ec.value() == e.error);
    const collected got = take_all(b);
    BOOST_TEST(got.all.size() == e.sent);
    BOOST_TEST(std::equal(got.all.begin(), got.all.end(), sent.begin()));
  }
  // A refusal, three calls of sendmmsg() for two datagrams each, and an end.
  udp_socket a = udp_socket::bind(endpoint::loopback_v4(0)), b = udp_socket::bind(endpoint::loopback_v4(0));
  struct cutting : refusing {
    cutting() : refusing(1, EIO, 1) {}
    int before(socket_call c, int fd, std::size_t& n) noexcept override {
      const int refused = refusing::before(c, fd, n);
      return calls == 6 ? ENETDOWN : refused;
    }
  };
  std::error_code ec;
  {
    cutting cuts;
    BOOST_TEST(a.send_segments(b.local_endpoint(), sent, size, 10s, ec) == in_one + 6 * size);
  }
  BOOST_TEST((ec == std::errc::network_down));
  BOOST_TEST(take_all(b).all.size() == in_one + 6 * size);
}

namespace {

/// The numbers of stats(), and those that were counted between the runtime and the kernel, when nobody is between the
/// two counts: in one moment of many.
struct both_counts {
  heddle::testing::epoll_counts told, counted;
};
both_counts quiet_counts(const heddle::testing::epoll_counts& before) {
  both_counts n;
  const auto until = std::chrono::steady_clock::now() + heddle::testing::late;
  do {
    const auto first = heddle::testing::counted_epoll();
    const heddle::statistics s = heddle::stats();
    n.counted = heddle::testing::counted_epoll();
    n.told = {s.polls + before.waits, s.events + before.events, s.descriptors};
    if (first == n.counted && n.told == n.counted) break;
    heddle::this_fiber::yield();
  } while (std::chrono::steady_clock::now() < until);
  return n;
}
void check_counts(const heddle::testing::epoll_counts& before, std::size_t registered) {
  const both_counts n = quiet_counts(before);
  BOOST_TEST(n.told.waits == n.counted.waits);
  BOOST_TEST(n.told.events == n.counted.events);
  BOOST_TEST(n.told.registered == n.counted.registered);
  BOOST_TEST(n.told.registered == registered);
}

}  // namespace

// To the unit: each call that asks the kernel, each event, each descriptor that is watched. Runtimes begin at 0.
BOOST_AUTO_TEST_CASE(statistics_of_the_poller) {
  constexpr std::size_t connections = 20;
  for (const unsigned procs : {1u, 2u})
    for (const bool monitor : {false, true}) {
      const auto before = heddle::testing::counted_epoll();
      BOOST_TEST(before.registered == 0u);
      heddle::run(
          [&] {
            BOOST_TEST(heddle::stats().events == 0u);
            tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
            std::vector<two_ends> all;
            for (std::size_t i = 0; i != connections; ++i) {
              tcp_stream c = tcp_stream::connect(l.local_endpoint());
              all.push_back({std::move(c), l.accept(10s)});
            }
            std::vector<heddle::join_handle<void>> echoes;
            for (two_ends& e : all)
              echoes.push_back(heddle::spawn([&e] {
                std::array<std::byte, 16> b;
                std::error_code ec;
                while (const std::size_t n = e.server.read_some(b, 20s, ec)) e.server.write(std::span(b).first(n));
              }));
            for (int round = 0; round != 20; ++round)
              for (two_ends& e : all) {
                e.client.write("x");
                BOOST_TEST_REQUIRE(text_from(e.client, 1) == "x");
              }
            // Each end waits once at least, and so is watched.
            std::size_t watched = 0;
            for (std::error_code ec; two_ends & e : all) {
              std::array<std::byte, 1> none;
              e.client.read_some(none, 1ms, ec);
              BOOST_TEST((ec == std::errc::timed_out));
              watched += 2;
            }
            std::error_code ec;
            l.accept(1ms, ec);
            BOOST_TEST((ec == std::errc::timed_out));
            check_counts(before, watched + 1);
            BOOST_TEST(heddle::stats().events >= 2 * connections + 1);  // each was reported when it was registered
            for (two_ends& e : all) e.client.close();
            for (auto& one : echoes) one.join();
            check_counts(before, connections + 1);
            for (two_ends& e : all) e.server.close();
            l.close();
            check_counts(before, 0);
          },
          {.procs = procs, .monitor = monitor});
      BOOST_TEST(heddle::stats().polls == 0u);  // no runtime
    }
}

BOOST_AUTO_TEST_SUITE_END()
