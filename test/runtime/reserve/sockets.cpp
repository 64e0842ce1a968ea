// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <span>

#include "heddle/detail/room.hpp"
#include "heddle/net.hpp"
#include "runtime/reserve/reserve.hpp"

namespace heddle::testing::reserve {
namespace {

heddle::wait_group* helpers = nullptr;  // fibers that do something soon, and must not outlive what they use
heddle::net::tcp_listener* listener = nullptr;
heddle::net::tcp_stream* near_end = nullptr;
heddle::net::tcp_stream* far_end = nullptr;
heddle::net::tcp_stream* accepted = nullptr;
const std::stop_source* nobody_stops = nullptr;
std::atomic<bool> has_written{false};
std::array<std::byte, 4> few{};
std::vector<std::byte> many(1 << 16);

[[gnu::noinline]] void waits() { near_end->wait_readable(); }
[[gnu::noinline]] void waits_in_time() {
  std::error_code late;
  near_end->wait_readable(100us, late);
}
[[gnu::noinline]] void waits_for_a_stop() {
  std::error_code late;
  near_end->wait_readable({std::chrono::steady_clock::now() + 100us, nobody_stops->get_token()}, late);
}
[[gnu::noinline]] void reads() { near_end->read_some(few); }
[[gnu::noinline]] void reads_all() { near_end->read(few); }
[[gnu::noinline]] void writes() {
  near_end->write(many);
  has_written = true;
}
[[gnu::noinline]] void waits_for_room() {
  std::error_code late;
  near_end->wait_writable(1ms, late);
}
[[gnu::noinline]] void sets_deadline() { near_end->set_read_deadline(std::chrono::steady_clock::now() + 1h); }
[[gnu::noinline]] void accepts() { *accepted = listener->accept(); }
[[gnu::noinline]] void is_late() {
  try {
    near_end->wait_readable(1us);
  } catch (const heddle::io::error&) {
  }
}
[[gnu::noinline]] void closes() { accepted->close(); }
[[gnu::noinline]] void shuts_down() { accepted->shutdown_write(); }
[[gnu::noinline]] void ends() { *accepted = {}; }

template <class F>
void help_soon(F f) {
  helpers->add(1);
  heddle::go({.stack = heddle::stack_kind::contiguous}, [f] {
    heddle::this_fiber::sleep_for(200us);
    f();
    helpers->done();
  });
}

// Apart, so that the fiber is back on its small stack when they have ended.
[[gnu::noinline]] void drain() {
  std::error_code ec;
  while (near_end->read_some(many, 1us, ec) != 0) {
  }
}
[[gnu::noinline]] void answer_soon() {
  drain();
  help_soon([] { far_end->write(few); });
}
[[gnu::noinline]] void fill() {
  std::error_code ec;
  while (near_end->write_some(many, 1us, ec) != 0) {
  }
}
[[gnu::noinline]] void read_soon() {
  has_written = false;
  fill();
  help_soon([] {
    std::error_code ec;
    std::vector<std::byte> to(1 << 20);
    // On a busy machine nothing may come for a while though there is more.
    while (far_end->read_some(to, 1ms, ec) != 0 || !has_written) {
    }
  });
}
[[gnu::noinline]] void connect_soon() {
  help_soon([where = listener->local_endpoint()] { heddle::net::tcp_stream::connect(where).close(); });
}
[[gnu::noinline]] void connect_now() {
  auto other = heddle::net::tcp_stream::connect(listener->local_endpoint());
  *accepted = listener->accept();
}

}  // namespace

/// The room that waits at sockets need: they look for it themselves.
void sockets() {
  constexpr std::size_t room = heddle::detail::waiting_room;
  auto port = heddle::net::tcp_listener::listen(heddle::net::endpoint::loopback_v4(0));
  auto one = heddle::net::tcp_stream::connect(port.local_endpoint());
  auto other = port.accept();
  heddle::net::tcp_stream third;
  const std::stop_source stop;
  heddle::wait_group helping(0);
  helpers = &helping;
  listener = &port;
  near_end = &one;
  far_end = &other;
  accepted = &third;
  nobody_stops = &stop;
  check_with_room<waits, answer_soon>("wait to read", room);
  check_with_room<waits_in_time, drain>("wait to read, in time", room);
  check_with_room<waits_for_a_stop, drain>("wait to read, with a stop token", room);
  check_with_room<is_late, drain>("wait to read, too late", room);
  check_with_room<reads, answer_soon>("read", room);
  check_with_room<reads_all, answer_soon>("read all", room);
  check_with_room<sets_deadline>("set a deadline", room);
  check_with_room<accepts, connect_soon>("accept", room);
  check_with_room<closes, connect_now>("close", room);
  check<shuts_down, connect_now>("shut down");
  check<ends, connect_now>("end");
  check_with_room<waits_for_room, fill>("wait to write", room);
  check<writes, read_soon>("write");
  helping.wait();
}

}  // namespace heddle::testing::reserve
