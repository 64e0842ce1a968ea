// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/net/serve.hpp"

namespace examples {

/// Lines of a stream, without their ends.
class line_reader {
 public:
  line_reader(heddle::io::stream& from, std::size_t longest) : from_(from), longest_(longest) {}

  /// Nothing: the stream has ended. Throws io::error, errc::message_too_long among them.
  std::optional<std::string> next(const heddle::io::limits& l) {
    for (std::size_t looked_at = 0;;) {
      const std::size_t end = held_.find('\n', looked_at);
      if (end != std::string::npos && end <= longest_) {
        std::string line = held_.substr(0, end != 0 && held_[end - 1] == '\r' ? end - 1 : end);
        held_.erase(0, end + 1);
        return line;
      }
      if (held_.size() > longest_) throw heddle::io::error(heddle::io::errc::message_too_long, "read a line");
      looked_at = held_.size();
      std::array<std::byte, 1024> part;
      const std::size_t n = from_.read_some(part, l);
      if (n == 0) return std::nullopt;
      held_.append(reinterpret_cast<const char*>(part.data()), n);
    }
  }

 private:
  heddle::io::stream& from_;
  const std::size_t longest_;
  std::string held_;
};

/// A chat of lines, for telnet(1) or nc(1): what somebody writes is written to all others in the same room.
///
///     examples::chat chat;
///     heddle::net::serve(listener, [&](auto& stream, const auto& stop) { chat.serve(stream, stop); }, stop);
///
/// /name NAME and /join ROOM; one begins as "guest" and a number in the room "hall".
///
/// 1. A line is written by the fiber of its reader: a slow reader holds up no writer of lines.
/// 2. So many lines may wait for a reader; one that lets more wait is cut off.
/// 3. All readers of a room see its lines in the same order.
class chat {
 public:
  static constexpr std::size_t most_waiting = 256;   ///< lines
  static constexpr std::size_t longest_line = 1000;  ///< bytes

  /// One connection, until its end or a stop.
  void serve(heddle::net::tcp_stream& stream, const std::stop_token& stop) {
    const auto self = std::make_shared<member>(stream, guest());
    auto writer = heddle::spawn([self] { write_lines(*self); });
    const struct leaving {
      chat& of;
      const std::shared_ptr<member>& who;
      ~leaving() {
        of.enter(who, "");
        who->lines.close();
        // The writer has that long for the lines that wait.
        who->stream.set_write_deadline(std::chrono::steady_clock::now() + std::chrono::seconds(2));
      }
    } at_end{*this, self};
    enter(self, "hall");
    line_reader lines(stream, longest_line);
    while (const auto line = lines.next(stop)) heard(self, *line);
  }

  /// How many were cut off.
  std::size_t cut_off() const noexcept { return cut_off_.load(std::memory_order_relaxed); }

 private:
  using text = std::shared_ptr<const std::string>;
  struct member {
    member(heddle::net::tcp_stream& s, std::string n) : stream(s), name(std::move(n)) {}
    heddle::net::tcp_stream& stream;
    heddle::channel<text> lines{most_waiting};
    std::string name, room;  // with the lock of the chat
    bool is_cut = false;     // the same
  };

  std::string guest() {
    std::string name("guest");
    return name += std::to_string(++guests_);
  }

  static void write_lines(member& m) {
    std::error_code ec;
    while (const auto line = m.lines.receive())
      if (!ec) m.stream.write(std::as_bytes(std::span<const char>(**line)), ec);
  }

  void heard(const std::shared_ptr<member>& who, const std::string& line) {
    const std::string_view words = line;
    if (words.starts_with("/join ")) return enter(who, line.substr(6));
    if (words.starts_with("/name ")) return rename(who, line.substr(6));
    const std::lock_guard hold(lock_);
    tell(who->room, who->name + ": " + line + "\n", who.get());
  }

  /// Leaves the room where `who` is; no room: leaves the chat.
  void enter(const std::shared_ptr<member>& who, const std::string& room) {
    const std::lock_guard hold(lock_);
    if (!who->room.empty()) {
      rooms_[who->room].erase(who);
      tell(who->room, "* " + who->name + " has left\n");
      if (rooms_[who->room].empty()) rooms_.erase(who->room);
    }
    who->room = room;
    if (room.empty()) return;
    rooms_[room].insert(who);
    tell(room, "* " + who->name + " is in " + room + "\n");
  }
  void rename(const std::shared_ptr<member>& who, const std::string& name) {
    const std::lock_guard hold(lock_);
    tell(who->room, "* " + who->name + " is " + name + " now\n");
    who->name = name;
  }

  /// With the lock, so that all readers see the same order. Waits for nobody.
  void tell(const std::string& room, std::string line, const member* but = nullptr) {
    const auto shared = std::make_shared<const std::string>(std::move(line));
    for (const auto& m : rooms_[room])
      if (m.get() != but && !m->is_cut && !m->lines.try_send(text(shared))) cut(*m);
  }
  /// Its reads and writes end. Not close(): that waits until they have, and we hold the lock that its reader may want.
  void cut(member& m) {
    m.is_cut = true;
    cut_off_.fetch_add(1, std::memory_order_relaxed);
    std::error_code gone;
    m.stream.shutdown_read(gone);
    m.stream.shutdown_write(gone);
  }

  heddle::mutex lock_;
  std::map<std::string, std::set<std::shared_ptr<member>>> rooms_;
  std::atomic<std::size_t> guests_{0};
  std::atomic<std::size_t> cut_off_{0};
};

}  // namespace examples
