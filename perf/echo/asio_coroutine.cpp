// SPDX-License-Identifier: BSL-1.0
#include <boost/asio.hpp>
#include <vector>

#include "common/net/asio_server.hpp"

namespace {

namespace asio = boost::asio;

asio::awaitable<void> echo(asio::ip::tcp::socket socket, std::size_t size) {
  std::vector<char> buffer(size);
  boost::system::error_code error;
  for (;;) {
    const std::size_t got =
        co_await socket.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    co_await asio::async_write(socket, asio::buffer(buffer.data(), got),
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  perf::net::serve_by_asio([size = args["size"]](asio::ip::tcp::socket socket) {
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, echo(std::move(socket), size), asio::detached);
  });
}
