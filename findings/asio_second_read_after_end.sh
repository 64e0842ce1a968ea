#!/bin/bash
# A second read after the end of a stream waits for ever in Boost.Asio.
#
# recv() returns 0 as often as it is called once the peer has closed. With Asio's epoll reactor only the first
# async_read_some() gets that end: it notes that the socket is exhausted, and the next one waits for an event. If the
# event of the end has been taken before the first read, no other comes: the kernel tells of edges. If it is taken
# between the two, or the reads are synchronous, the second gets its end as well, so that programs that read once more
# hang now and then.
#
# Seen with libboost1.81-dev 1.81.0-5+deb12u1 and libboost1.74-dev 1.74.0+ds1-21 of Debian 12, whose headers are all
# that is needed. The documentation says nothing of reads after the end.
# Needs apt, a C++ compiler and the network; leaves nothing behind. Fails if what is seen is not this any more.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

echo 'deb http://snapshot.debian.org/archive/debian/20240101T000000Z bookworm main' >sources
options=(-o Dir::Etc::sourcelist="$work/sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists"
  -o Dir::Cache="$work/cache" -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
mkdir -p lists/partial cache/archives/partial
if ! { apt-get -qq "${options[@]}" update && apt-get -qq "${options[@]}" download libboost1.81-dev; } &>apt.log; then
  apt-get -qq download libboost1.81-dev &>>apt.log || { cat apt.log; exit 1; }  # Debian 12's own source
fi
dpkg-deb -x libboost1.81-dev_*.deb root

cat >subject.cpp <<'C'
#include <boost/asio.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace net = boost::asio;
using net::ip::tcp;

int main() {
  net::io_context context;
  tcp::acceptor acceptor(context, {net::ip::address_v4::loopback(), 0});
  tcp::socket client(context), server(context);
  client.connect(acceptor.local_endpoint());
  acceptor.accept(server);
  server.non_blocking(true);
  client.close();

  char byte = 0;
  boost::system::error_code first, second = net::error::would_block;
  net::steady_timer until_event(context, std::chrono::milliseconds(100)), patience(context, std::chrono::seconds(3));
  until_event.async_wait([&](boost::system::error_code) {
    server.async_read_some(net::buffer(&byte, 1), [&](boost::system::error_code e, std::size_t) {
      first = e;
      server.async_read_some(net::buffer(&byte, 1), [&](boost::system::error_code e2, std::size_t) {
        second = e2;
        patience.cancel();
      });
    });
  });
  patience.async_wait([&](boost::system::error_code) { context.stop(); });
  context.run();
  boost::system::error_code direct;
  server.read_some(net::buffer(&byte, 1), direct);
  std::printf("first: %s, second: %s, read_some() then: %s\n", first.message().c_str(),
              second == net::error::would_block ? "waits" : second.message().c_str(), direct.message().c_str());
}
C
c++ -std=c++17 -O1 -isystem root/usr/include subject.cpp -o subject -pthread
said=$(./subject)
echo "$said"
[[ $said == "first: End of file, second: waits, read_some() then: End of file" ]]
