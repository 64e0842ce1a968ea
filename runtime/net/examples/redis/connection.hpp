// SPDX-License-Identifier: BSL-1.0
//
// One connection to Redis, and one after the other.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "heddle/net/dial.hpp"
#include "heddle/this_fiber.hpp"
#include "reply.hpp"

namespace examples::redis {

struct options {
  std::string server = "127.0.0.1:6379";
  /// Commands that begin each connection: {{"AUTH", "secret"}, {"SELECT", "1"}}, or {{"HELLO", "3"}} for RESP3, which
  /// the reader of hiredis 1.0 and newer knows. With an older one no connection comes about: "Protocol error".
  std::vector<std::vector<std::string>> greeting = {};
  std::chrono::nanoseconds timeout = std::chrono::seconds(5);     ///< of a command, unless it is given another
  std::chrono::nanoseconds connecting = std::chrono::seconds(2);  ///< one attempt, the greeting included
  std::chrono::milliseconds first_pause{10};                      ///< after an attempt; doubles each time
  std::chrono::milliseconds longest_pause{1000};
  std::size_t most_in_flight = 10'000;  ///< further commands wait before they are sent
};

/// Not for several fibers, but one may read while another writes.
class connection {
 public:
  using limits = heddle::net::limits;

  /// Connects and greets. Throws io::error, and redis::error for a greeting that Redis refuses.
  connection(const options& o, const limits& l) : stream_(heddle::net::dial(o.server, l)) {
    for (const auto& words : o.greeting) {
      std::string bytes;
      append_command(bytes, std::vector<std::string_view>(words.begin(), words.end()));
      write(bytes, l);
      reply r = read(l);
      while (!r.is_answer()) r = read(l);
      if (r.is_error()) throw error(std::string(r.text()));
    }
  }

  /// Commands, made by append_command().
  void write(std::string_view commands, const limits& l = {}) { stream_.write(commands, l); }

  /// The next reply. Throws io::error; what comes after that is none.
  reply read(const limits& l = {}) {
    for (;;) {
      void* r = nullptr;
      if (redisReaderGetReply(reader_.get(), &r) != REDIS_OK) throw std::runtime_error(reader_->errstr);
      if (r != nullptr) return reply(static_cast<redisReply*>(r));
      const std::size_t n = stream_.read_some(*memory_, l);
      if (n == 0) throw heddle::io::error(heddle::io::errc::end_of_stream, "read from " + stream_.name());
      if (redisReaderFeed(reader_.get(), reinterpret_cast<const char*>(memory_->data()), n) != REDIS_OK)
        throw std::bad_alloc();
    }
  }

 private:
  struct freeing {
    void operator()(redisReader* r) const noexcept { redisReaderFree(r); }
  };
  heddle::net::tcp_stream stream_;
  std::unique_ptr<redisReader, freeing> reader_{redisReaderCreate()};
  std::unique_ptr<std::array<std::byte, 16 * 1024>> memory_ = std::make_unique<std::array<std::byte, 16 * 1024>>();
};

/// Until a stop: makes a connection, calls serve(connection), which throws when the connection is lost, calls
/// lost(why), and begins again after a pause. Pauses double while nothing comes of it, and differ by chance, so that
/// the clients of a server that comes back do not come all at once.
template <class Serve, class Lost>
void keep_connected(const options& o, const std::stop_token& stop, Serve serve, Lost lost) {
  std::minstd_rand chance(std::random_device{}());
  auto pause = o.first_pause;
  while (!stop.stop_requested()) {
    try {
      connection c(o, {std::chrono::steady_clock::now() + o.connecting, stop});
      pause = o.first_pause;
      serve(c);
      lost("the client has ended");
    } catch (const std::exception& e) {
      lost(e.what());
    }
    std::uniform_real_distribution<double> part(0.5, 1.0);
    heddle::this_fiber::sleep_for(part(chance) * std::chrono::duration<double>(pause), stop);
    pause = std::min(2 * pause, o.longest_pause);
  }
}

}  // namespace examples::redis
