// SPDX-License-Identifier: BSL-1.0
//
// Boost.Beast as it is, a fiber for each client by the completion token use_fiber.
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <heddle/asio/use_fiber.hpp>
#include <heddle/heddle.hpp>
#include <utility>

#include "common/heddle_options.hpp"
#include "common/net/server.hpp"
#include "http/beast.hpp"

namespace {

using boost::asio::ip::tcp;
using heddle::asio::use_fiber;

void serve(tcp::socket& socket) {
  boost::beast::flat_buffer buffer;
  boost::system::error_code error;
  for (bool goes_on = true; goes_on;) {
    perf::http::request<perf::http::empty_body> request;
    perf::http::async_read(socket, buffer, request, use_fiber[error]);
    if (error) return;
    auto answer = perf::beast_answer(request);
    goes_on = answer.keep_alive();
    perf::http::async_write(socket, answer, use_fiber[error]);
    if (error) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  heddle::run(
      [] {
        heddle::asio::reactor reactor;
        tcp::acceptor acceptor(reactor.get_executor(), {boost::asio::ip::address_v4::loopback(), 0});
        perf::net::announce(acceptor.local_endpoint().port());
        for (;;) {
          tcp::socket client = acceptor.async_accept(use_fiber);
          client.set_option(tcp::no_delay(true));
          heddle::go([socket = std::move(client), &reactor]() mutable {
            serve(socket);
            reactor.call([&socket] { socket.close(); });
          });
        }
      },
      perf::heddle_options(args));
}
