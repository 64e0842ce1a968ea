// SPDX-License-Identifier: BSL-1.0
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <thread>

#include "common/net/server.hpp"
#include "http/beast.hpp"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

/// One client on a thread of its own, which blocks.
void serve(asio::ip::tcp::socket socket) {
  boost::beast::flat_buffer buffer;
  boost::system::error_code error;
  for (;;) {
    http::request<http::empty_body> request;
    http::read(socket, buffer, request, error);
    if (error) return;
    const auto answer = perf::beast_answer(request);
    http::write(socket, answer, error);
    if (error || !answer.keep_alive()) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor(context, asio::ip::tcp::v4(), perf::net::listen_on_loopback(0));
  for (;;) std::thread(serve, acceptor.accept()).detach();
}
