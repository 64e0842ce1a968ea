// SPDX-License-Identifier: BSL-1.0
#include "beast_echo.hpp"

#include <stdio.h>
#include <sys/wait.h>

#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/test/unit_test.hpp>
#include <string>

#include "asio_server.hpp"
#include "heddle/blocking.hpp"
#include "heddle/run.hpp"
#include "support/leak_check.hpp"

namespace {

namespace net = boost::asio;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using examples::asio_server;
using heddle::asio::reactor;
using heddle::asio::use_fiber;
using net::ip::tcp;

const tcp::endpoint free_port(net::ip::address_v4::loopback(), 0);

asio_server::session echo() {
  return
      [](tcp::socket peer, const std::stop_token& stop) { examples::echo_websocket(std::move(peer), stop, 1 << 20); };
}

/// The client of another project, as a process.
class python_client {
 public:
  python_client(const asio_server& server, const std::string& what)
      : output_(::popen((WEBSOCKET_CLIENT " " + std::to_string(server.endpoint().port()) + ' ' + what).c_str(), "r")) {}
  python_client(const python_client&) = delete;
  python_client& operator=(const python_client&) = delete;
  ~python_client() {
    if (output_ != nullptr) ::pclose(output_);
  }
  char read() {
    return heddle::blocking([this] { return static_cast<char>(::fgetc(output_)); });
  }
  int status() {
    return heddle::blocking([this] { return WEXITSTATUS(::pclose(std::exchange(output_, nullptr))); });
  }

 private:
  FILE* output_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(beast_echo, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(is_understood_by_another_client) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, echo());
    BOOST_TEST(python_client(server, "talk").status() == 0);
    server.stop();
  });
}

BOOST_AUTO_TEST_CASE(says_that_it_goes) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, echo());
    python_client client(server, "stay");
    BOOST_TEST(client.read() == 'h');
    server.stop();
    BOOST_TEST(client.status() == 0);
  });
}

BOOST_AUTO_TEST_CASE(is_understood_by_its_own_client) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, echo());
    websocket::stream<boost::beast::tcp_stream> client(r.get_executor());
    client.next_layer().async_connect(server.endpoint(), use_fiber);
    client.async_handshake("127.0.0.1", "/", use_fiber);
    for (const std::size_t size : {0, 1, 100'000}) {
      const std::string sent(size, 'w');
      client.async_write(net::buffer(sent), use_fiber);
      boost::beast::flat_buffer received;
      BOOST_TEST(client.async_read(received, use_fiber) == size);
      BOOST_TEST((boost::beast::buffers_to_string(received.data()) == sent));
    }
    // Longer than is allowed.
    error_code e;
    const std::string long_message(2 << 20, 'l');
    client.async_write(net::buffer(long_message), use_fiber[e]);
    boost::beast::flat_buffer received;
    client.async_read(received, use_fiber[e]);
    BOOST_TEST(e.failed());
    server.stop();
  });
}

BOOST_AUTO_TEST_SUITE_END()
