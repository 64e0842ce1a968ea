// SPDX-License-Identifier: BSL-1.0
//
// Uses each part of heddle::net from outside: what a library does not export is missed by the linker, and an exception
// whose type is known twice is not caught.
#include <poll.h>
#include <unistd.h>
#include <heddle/heddle.hpp>
#include <heddle/net.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace std::chrono_literals;
namespace io = heddle::io;
namespace net = heddle::net;

namespace {

void need(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::exit(1);
}

/// The one end hears the other.
template <class From, class To>
void talk(From& from, To& to, const char* what) {
  from.write("word", 10s);
  std::array<std::byte, 4> got{};
  need(to.read(got, 10s) == 4 && static_cast<char>(got[3]) == 'd', what);
}

void tcp_and_serving() {
  auto listener = net::tcp_listener::listen(net::endpoint::parse("127.0.0.1:0"));
  const net::endpoint where = listener.local_endpoint();
  std::stop_source stop;
  auto serving = heddle::spawn([&] {
    net::serve(
        listener,
        [](net::tcp_stream& peer) {
          io::buffered_reader in(peer);
          for (std::string_view line : io::lines(in)) peer.write(line);
        },
        stop.get_token());
  });
  {
    net::tcp_stream s = net::dial("localhost", where.port(), 10s), t = net::dial(where.to_string(), 10s);
    s.write("word\n");
    std::array<std::byte, 4> got{};
    need(s.read(got, 10s) == 4, "a server");
  }
  stop.request_stop();
  serving.join();
  need(!net::resolve("localhost", "80").empty(), "names");
  try {
    net::tcp_stream::connect(where, 10s);
    need(false, "a connection to nobody");
  } catch (const io::error& e) {
    need(e.code() == std::errc::connection_refused, "an error");
  }
}

void others_of_net() {
  auto a = net::udp_socket::bind(net::endpoint::loopback_v4(0)),
       b = net::udp_socket::bind(net::endpoint::loopback_v4(0));
  std::array<std::byte, 4> word{};
  a.send_to(b.local_endpoint(), word);
  need(b.receive_from(word, 10s).size == 4, "UDP");
  auto [one, other] = net::unix_stream::pair();
  talk(one, other, "Unix sockets");
  net::memory_network memory;
  auto listener = memory.listen(net::endpoint::parse("10.0.0.1:80"));
  auto near = memory.connect(net::endpoint::parse("10.0.0.1:80"), 10s);
  auto far = listener.accept(10s);
  talk(near, far, "the network in memory");
}

void all_of_io() {
  auto p = io::pipe();
  talk(p.writer, p.reader, "pipes");
  auto shared = io::shared_stream::of(p.writer.native_handle(), "shared");
  talk(shared, p.reader, "shared streams");
  std::array<std::byte, 4> word{};
  need(io::file::open("/proc/self/exe").read_at(word, 0) == 4, "files");
  auto [one, other] = net::unix_stream::pair();
  one.write(word);
  one.shutdown_write();
  need(io::splice_all(other, p.writer, 10s) == 4, "splicing");
  io::process child = io::process::run("/bin/true");
  need(child.wait(10s).success(), "processes");
  io::signals usr1({SIGUSR1});
  ::kill(::getpid(), SIGUSR1);
  need(usr1.receive(10s) == SIGUSR1, "signals");
}

/// As a C library does; with heddle::blocking_calls no processor waits in it.
void waits_in_the_kernel() {
  std::array<int, 2> ends{};
  need(::pipe(ends.data()) == 0, "a pipe");
  auto waiting = heddle::spawn([&] {
    pollfd one{ends[0], POLLIN, 0};
    return ::poll(&one, 1, 10'000);
  });
  heddle::this_fiber::yield();
  need(::write(ends[1], "x", 1) == 1 && waiting.join() == 1, "poll()");
}

}  // namespace

int main() {
  heddle::run([] {
    tcp_and_serving();
    others_of_net();
    all_of_io();
    waits_in_the_kernel();
  });
  std::puts("all of heddle::net is there");
}
