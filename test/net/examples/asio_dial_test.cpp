// SPDX-License-Identifier: BSL-1.0
#include "asio_dial.hpp"

#include <atomic>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <string>

#include "heddle/run.hpp"
#include "support/leak_check.hpp"

namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;
using boost::system::system_error;
using heddle::asio::reactor;
using heddle::asio::use_fiber;
using net::ip::tcp;

tcp::acceptor listener(reactor& r) { return {r.get_executor(), tcp::endpoint(net::ip::address_v4::loopback(), 0)}; }
std::string port_of(const tcp::acceptor& a) { return std::to_string(a.local_endpoint().port()); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(dial, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(connects_by_name) {
  reactor r;
  heddle::run([&] {
    tcp::acceptor a = listener(r);
    // Where localhost is ::1 as well, nobody listens there.
    tcp::socket client = examples::dial(r, "localhost", port_of(a), 10s, 1ms);
    tcp::socket server = a.async_accept(use_fiber);
    net::async_write(client, net::buffer("hello", 5), use_fiber);
    std::string received(5, ' ');
    net::async_read(server, net::buffer(received), use_fiber);
    BOOST_TEST(received == "hello");
  });
}

BOOST_AUTO_TEST_CASE(connects_by_address_from_a_thread) {
  reactor r;
  tcp::acceptor a = listener(r);
  tcp::socket client = examples::dial(r, "127.0.0.1", port_of(a), 10s);
  BOOST_TEST(client.is_open());
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(says_why_it_failed) {
  reactor r;
  heddle::run([&] {
    const std::string closed = port_of(listener(r));
    BOOST_CHECK_EXCEPTION(examples::dial(r, "127.0.0.1", closed, 10s), system_error,
                          [](const auto& e) { return e.code() == net::error::connection_refused; });
    BOOST_CHECK_THROW(examples::dial(r, "name.invalid", "80", 10s), system_error);
  });
}

BOOST_AUTO_TEST_CASE(of_many_fibers) {
  reactor r;
  heddle::run([&] {
    tcp::acceptor a = listener(r);
    heddle::group g;
    std::atomic<int> connected{0};
    for (int i = 0; i != 50; ++i)
      g.spawn([&] {
        tcp::socket s = examples::dial(r, "localhost", port_of(a), 20s, 10ms);
        if (s.is_open()) ++connected;
      });
    g.wait();
    BOOST_TEST(connected == 50);
  });
}

BOOST_AUTO_TEST_SUITE_END()
