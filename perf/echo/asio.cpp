// SPDX-License-Identifier: BSL-1.0
#include <boost/asio.hpp>
#include <memory>
#include <vector>

#include "common/net/asio_server.hpp"

namespace {

namespace asio = boost::asio;

/// One client, by callbacks, each of which keeps it alive.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(asio::ip::tcp::socket socket, std::size_t size) : socket_(std::move(socket)), buffer_(size) {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](const boost::system::error_code& error, std::size_t got) {
                              if (!error) self->write(got);
                            });
  }

 private:
  void write(std::size_t size) {
    asio::async_write(socket_, asio::buffer(buffer_.data(), size),
                      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  asio::ip::tcp::socket socket_;
  std::vector<char> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  perf::net::serve_by_asio([size = args["size"]](asio::ip::tcp::socket socket) {
    std::make_shared<connection>(std::move(socket), size)->read();
  });
}
