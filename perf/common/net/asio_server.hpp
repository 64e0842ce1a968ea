// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio.hpp>

#include "common/net/server.hpp"

namespace perf::net {

/// Accepts connections on one thread and calls `accepted(socket)` for each.
template <class Accepted>
class asio_acceptor {
 public:
  asio_acceptor(boost::asio::io_context& context, Accepted accepted)
      : acceptor_(context, boost::asio::ip::tcp::v4(), listen_on_loopback(0)), accepted_(std::move(accepted)) {}

  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, boost::asio::ip::tcp::socket socket) {
      require(!error, "cannot accept");
      accepted_(std::move(socket));
      accept();
    });
  }

 private:
  boost::asio::ip::tcp::acceptor acceptor_;
  Accepted accepted_;
};

/// The same as a whole program: does not return. The context knows that it has one thread, which spares it locks.
template <class Accepted>
void serve_by_asio(Accepted accepted) {
  boost::asio::io_context context(1);
  asio_acceptor acceptor(context, std::move(accepted));
  acceptor.accept();
  context.run();
}

}  // namespace perf::net
