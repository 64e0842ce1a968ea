// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/dial.hpp"

#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stop_token>

#include "heddle/net/detail/connect_any.hpp"
#include "net/poller_in_use.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::limits;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;
using heddle::net::detail::by_turns;
using heddle::net::detail::connect_any;
using heddle::net::detail::failed_attempt;
using heddle::net::detail::resolver;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::with_crew;

/// An address that answers nothing: the queue of its listener is full.
class black_hole {
 public:
  black_hole() {
    endpoint on = endpoint::loopback_v4(0);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BOOST_REQUIRE(::bind(listener_, on.data(), on.size()) == 0);
    BOOST_REQUIRE(::listen(listener_, 0) == 0);
    socklen_t size = endpoint::capacity();
    BOOST_REQUIRE(::getsockname(listener_, on.data(), &size) == 0);
    address = on;
    for (int& fd : fillers_) {
      fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      (void)!::connect(fd, on.data(), on.size());
    }
  }
  black_hole(const black_hole&) = delete;
  black_hole& operator=(const black_hole&) = delete;
  ~black_hole() {
    for (const int fd : fillers_) ::close(fd);
    ::close(listener_);
  }

  endpoint address;

 private:
  int listener_ = -1;
  std::array<int, 3> fillers_{};
};

/// On which nobody listens, as long as it lives.
class closed_port {
 public:
  closed_port() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    endpoint on = endpoint::loopback_v4(0);
    BOOST_REQUIRE(::bind(fd_, on.data(), on.size()) == 0);
    socklen_t size = endpoint::capacity();
    BOOST_REQUIRE(::getsockname(fd_, on.data(), &size) == 0);
    address = on;
  }
  closed_port(const closed_port&) = delete;
  closed_port& operator=(const closed_port&) = delete;
  ~closed_port() { ::close(fd_); }

  endpoint address;

 private:
  int fd_;
};

std::error_code no_names(const std::string&, const std::string&, std::vector<endpoint>&) {
  return heddle::net::resolve_errc::host_not_found;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(dial, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(takes_addresses_of_both_versions_by_turns) {
  const auto v4 = [](std::uint16_t n) { return endpoint::loopback_v4(n); };
  const auto v6 = [](std::uint16_t n) { return endpoint::loopback_v6(n); };
  using list = std::vector<endpoint>;
  BOOST_TEST((by_turns({}) == list{}));
  BOOST_TEST((by_turns({v4(1), v4(2)}) == list{v4(1), v4(2)}));
  BOOST_TEST((by_turns({v6(1), v6(2), v4(3)}) == list{v6(1), v4(3), v6(2)}));
  BOOST_TEST((by_turns({v4(1), v6(2), v6(3), v6(4)}) == list{v4(1), v6(2), v6(3), v6(4)}));
  BOOST_TEST((by_turns({v4(1), v4(2), v4(3), v6(4), v6(5)}) == list{v4(1), v6(4), v4(2), v6(5), v4(3)}));
}

BOOST_AUTO_TEST_CASE(goes_on_at_once_after_a_failure) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      const closed_port nobody, nobody_either;
      tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
      const std::array addresses = {nobody.address, nobody_either.address, l.local_endpoint()};
      c.start([&] {
        std::vector<failed_attempt> failures;
        std::error_code ec;
        tcp_stream s = connect_any(addresses, 60s, 1h, failures, ec);
        expect(!ec && s.peer_endpoint() == l.local_endpoint() && failures.empty());
        s = connect_any(std::span(addresses).first(2), 60s, 1h, failures, ec);
        expect(ec == std::errc::connection_refused && !s && failures.size() == 2);
        expect(failures.front().to == nobody.address && failures.back().to == nobody_either.address);
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(goes_on_while_an_attempt_is_under_way) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      const black_hole hole, other;
      tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
      const std::array addresses = {hole.address, other.address, l.local_endpoint()};
      c.start([&] {
        std::vector<failed_attempt> failures;
        std::error_code ec;
        // The limits would end it with an error, if the last one were not tried beside the others.
        const tcp_stream s = connect_any(addresses, 30s, 10ms, failures, ec);
        expect(!ec && s.peer_endpoint() == l.local_endpoint());
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(an_attempt_under_way_may_win) {
  heddle::run([] {
    const closed_port nobody;
    tcp_listener slow = tcp_listener::listen(endpoint::loopback_v4(0));
    std::vector<failed_attempt> failures;
    std::error_code ec;
    const tcp_stream s =
        connect_any(std::array{slow.local_endpoint(), nobody.address, nobody.address}, 60s, 0ns, failures, ec);
    BOOST_TEST((!ec && s.peer_endpoint() == slow.local_endpoint()));
  });
}

BOOST_AUTO_TEST_CASE(one_connection_is_left) {
  heddle::run([] {
    std::array<tcp_listener, 4> listeners;
    std::vector<endpoint> addresses;
    for (tcp_listener& l : listeners) {
      l = tcp_listener::listen(endpoint::loopback_v4(0));
      addresses.push_back(l.local_endpoint());
    }
    for (int i = 0; i < 50; ++i) {
      std::vector<failed_attempt> failures;
      std::error_code ec;
      tcp_stream s = connect_any(addresses, 60s, 0ns, failures, ec);
      BOOST_TEST_REQUIRE(!ec);
      // Those that lost, too, may have got as far as the listener: they have been closed.
      s.write("hello");
      s.shutdown_write();
      int open = 0;
      for (tcp_listener& l : listeners) {
        for (tcp_stream peer; (peer = l.accept(0s, ec));) {
          std::array<std::byte, 8> bytes;
          const std::size_t n = peer.read(bytes, 60s, ec);
          BOOST_TEST((ec == heddle::io::errc::end_of_stream || ec == std::errc::connection_reset));
          open += n != 0;
        }
        BOOST_TEST((ec == std::errc::timed_out));
      }
      BOOST_TEST(open == 1);
    }
  });
}

BOOST_AUTO_TEST_CASE(ends_by_its_limits) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      const black_hole hole;
      const std::array two = {hole.address, hole.address};
      c.start([&] {
        for (const std::size_t n : {1u, 2u})
          for (const auto delay : {0ns, std::chrono::nanoseconds(1h)}) {
            std::vector<failed_attempt> failures;
            std::error_code ec;
            connect_any(std::span(two).first(n), 20ms, delay, failures, ec);
            expect(ec == std::errc::timed_out && !failures.empty());
            std::stop_source source;
            auto stopper = heddle::spawn([&] {
              heddle::this_fiber::sleep_for(10ms);
              source.request_stop();
            });
            connect_any(std::span(two).first(n), source.get_token(), delay, failures, ec);
            expect(ec == std::errc::operation_canceled && !failures.empty());
          }
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(resolves_the_name) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    const auto names = [&](const std::string& host, const std::string&, std::vector<endpoint>& found) {
      if (host != "known") return make_error_code(heddle::net::resolve_errc::try_again);
      found = {endpoint::loopback_v6(l.local_endpoint().port()), l.local_endpoint()};
      return std::error_code();
    };
    resolver r("/nonexistent/hosts", names);
    std::vector<failed_attempt> failures;
    std::error_code ec;
    const tcp_stream s = heddle::net::detail::dial(r, "known", "80", 60s, failures, ec);
    BOOST_TEST((!ec && s.peer_endpoint() == l.local_endpoint()));
    BOOST_TEST(!heddle::net::detail::dial(r, "other", "80", 60s, failures, ec));
    BOOST_TEST((ec == heddle::net::resolve_errc::try_again));
    BOOST_TEST(failures.empty());
  });
}

BOOST_AUTO_TEST_CASE(names_of_the_system_are_not_asked_by_it) {
  resolver r("/nonexistent/hosts", no_names);
  std::vector<failed_attempt> failures;
  std::error_code ec;
  BOOST_TEST(!heddle::net::detail::dial(r, "", "80", {}, failures, ec));
  BOOST_TEST((ec == heddle::net::resolve_errc::host_not_found));
}

BOOST_AUTO_TEST_SUITE_END()

// The resolver of the process stays.
BOOST_AUTO_TEST_SUITE(dial_by_the_process)

BOOST_AUTO_TEST_CASE(forms) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    const std::uint16_t port = l.local_endpoint().port();
    const std::string number = std::to_string(port);
    std::error_code ec;
    BOOST_TEST((heddle::net::dial("127.0.0.1", port).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST((heddle::net::dial("127.0.0.1", port, 60s, ec).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST((heddle::net::dial("127.0.0.1:" + number).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST((heddle::net::dial("localhost:" + number, 60s, ec).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST((heddle::net::dial("127.0.0.1", int{port}).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST((heddle::net::dial("127.0.0.1", std::uint64_t{port}, {}, ec).peer_endpoint() == l.local_endpoint()));
  });
}

// It was the port 0 once, of a host with this name.
BOOST_AUTO_TEST_CASE(braces_are_no_port) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    const std::string target = l.local_endpoint().to_string();
    std::error_code ec;
    BOOST_TEST((heddle::net::dial(target, {}).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST((heddle::net::dial(target, {}, ec).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST(!ec);
  });
}

BOOST_AUTO_TEST_CASE(numbers_that_are_no_port_are_refused) {
  for (const long long number : {-1LL, 65536LL, 65616LL, 1LL << 32, (1LL << 32) + 80}) {
    std::error_code ec;
    BOOST_TEST(!heddle::net::dial("127.0.0.1", number, {}, ec));
    BOOST_TEST((ec == std::errc::invalid_argument), number);
  }
  std::error_code ec;
  BOOST_TEST(!heddle::net::dial("127.0.0.1", ~std::uint64_t{0}, {}, ec));
  BOOST_TEST((ec == std::errc::invalid_argument));
  BOOST_CHECK_EXCEPTION(heddle::net::dial("::1", 65536), heddle::io::error,
                        [](const auto& e) { return e.what() == std::string("dial [::1]:65536: Invalid argument"); });
}

BOOST_AUTO_TEST_CASE(both_versions) {
  heddle::run([] {
    std::error_code ec;
    const tcp_listener l = tcp_listener::listen(endpoint::loopback_v6(0), {}, ec);
    if (ec) return;  // a system without version 6
    const std::uint16_t port = l.local_endpoint().port();
    BOOST_TEST((heddle::net::dial("::1", port).peer_endpoint() == l.local_endpoint()));
    BOOST_TEST((heddle::net::dial("[::1]:" + std::to_string(port)).peer_endpoint() == l.local_endpoint()));
  });
}

BOOST_AUTO_TEST_CASE(targets_without_a_port_are_refused) {
  for (const char* target : {"", ":", "host", "host:", ":80", "::1:80", "[]:80", "[::1]", "[::1]80"}) {
    std::error_code ec;
    BOOST_TEST(!heddle::net::dial(target, {}, ec), target);
    BOOST_TEST((ec == std::errc::invalid_argument), target);
  }
  BOOST_CHECK_EXCEPTION(heddle::net::dial("host"), heddle::io::error,
                        [](const auto& e) { return e.what() == std::string("dial host: Invalid argument"); });
}

BOOST_AUTO_TEST_CASE(errors_tell_of_the_attempts) {
  const closed_port nobody;
  const std::string port = std::to_string(nobody.address.port());
  const auto text = [](auto f) -> std::string {
    try {
      f();
    } catch (const heddle::io::error& e) {
      BOOST_TEST((e.code() == std::errc::connection_refused));
      return e.what();
    }
    return "no exception";
  };
  const std::string expected = "dial 127.0.0.1:" + port + " (127.0.0.1:" + port + ": Connection refused)";
  BOOST_TEST(text([&] { heddle::net::dial("127.0.0.1:" + port); }) == expected + ": Connection refused");
  BOOST_TEST(text([&] { heddle::net::dial("127.0.0.1", nobody.address.port()); }) == expected + ": Connection refused");
  heddle::run([&] {
    const std::string of_both = text([&] { heddle::net::dial("localhost:" + port); });
    BOOST_TEST(of_both.starts_with("dial localhost:" + port + " ("), of_both);
    BOOST_TEST(of_both.find("127.0.0.1:" + port + ": Connection refused") != std::string::npos, of_both);
    BOOST_TEST(of_both.ends_with("): Connection refused"), of_both);
  });
}

BOOST_AUTO_TEST_SUITE_END()
