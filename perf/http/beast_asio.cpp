// SPDX-License-Identifier: BSL-1.0
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <memory>

#include "common/net/asio_server.hpp"
#include "http/beast.hpp"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

/// One client, by callbacks, each of which keeps it alive.
class connection : public std::enable_shared_from_this<connection> {
 public:
  explicit connection(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  void read() {
    request_ = {};
    http::async_read(socket_, buffer_, request_,
                     [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                       if (!error) self->write();
                     });
  }

 private:
  void write() {
    answer_ = perf::beast_answer(request_);
    http::async_write(socket_, answer_,
                      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                        if (!error && self->answer_.keep_alive()) self->read();
                      });
  }

  asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response<http::string_body> answer_;
};

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  perf::net::serve_by_asio(
      [](asio::ip::tcp::socket socket) { std::make_shared<connection>(std::move(socket))->read(); });
}
