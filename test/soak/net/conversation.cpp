// SPDX-License-Identifier: BSL-1.0
#include "soak/net/conversation.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace soak {
namespace {

using namespace std::chrono_literals;
using heddle::net::limits;
using heddle::net::tcp_stream;

constexpr auto patience = 30s;  // beyond which an operation counts as lost

/// The byte at a place of a stream: another one for each place and each stream.
std::byte byte_at(std::uint64_t key, std::uint64_t place) noexcept {
  return static_cast<std::byte>(((key + place) * 0x9e3779b97f4a7c15) >> 56);
}

/// One conversation: the client's end, and who works on it.
class talk {
 public:
  talk(meeting& m, dice& chance, tcp_stream s)
      : meeting_(m), stream_(std::move(s)), key_(chance.below(1u << 30)), length_(1 + chance.below(200'000)) {}

  void hold(dice chance);

 private:
  enum class ending { half_close, close, reset };
  void write_all(dice chance);
  void end_early(dice chance, bool reset);
  bool read_once(dice& chance, const std::stop_token& stop);
  void check(std::span<const std::byte> got);
  bool may_break() const noexcept { return meeting_.rough || ended_early_; }

  meeting& meeting_;
  tcp_stream stream_;
  const std::uint64_t key_;
  const std::uint64_t length_;
  std::uint64_t read_ = 0;
  std::atomic<bool> ended_early_{false};
};

void talk::write_all(dice chance) {
  std::vector<std::byte> piece;
  std::error_code ec;
  for (std::uint64_t sent = 0; sent != length_ && !ec;) {
    piece.resize(std::min<std::uint64_t>(1 + chance.below(chance.one_in(4) ? 60'000 : 600), length_ - sent));
    for (std::size_t i = 0; i != piece.size(); ++i) piece[i] = byte_at(key_, sent + i);
    const std::size_t n = stream_.write(piece, patience, ec);
    require(ec || n == piece.size(), "a write without an error writes all");
    sent += n;
    chance.dawdle();
  }
  require(ec != std::errc::timed_out, "a write comes to an end");
  require(!ec || may_break(), "a write fails only if the connection was broken");
  if (!ec) return stream_.shutdown_write(ec);
  stream_.close();  // the server waits for the rest, and the reader for the server
}

void talk::end_early(dice chance, bool reset) {
  heddle::this_fiber::sleep_for(chance.moment());
  ended_early_ = true;
  std::error_code ec;
  if (reset) stream_.reset_on_close(ec);
  stream_.close();
}

void talk::check(std::span<const std::byte> got) {
  require(read_ + got.size() <= length_, "no more comes back than was sent");
  for (const std::byte b : got) require(b == byte_at(key_, read_++), "bytes come back as they were sent");
  meeting_.bytes += got.size();
}

/// False: that was all.
bool talk::read_once(dice& chance, const std::stop_token& stop) {
  std::array<std::byte, 5'000> b;
  const std::size_t size = 1 + chance.below(chance.one_in(4) ? b.size() : 100);
  std::error_code ec;
  std::size_t n = 0;
  const std::span<std::byte> to = std::span(b).first(size);
  const unsigned how = chance.below(6);
  if (how == 3) stream_.set_read_deadline(std::chrono::steady_clock::now() + chance.moment());
  switch (how) {
    case 0: n = stream_.read_some(to, chance.moment(), ec); break;
    case 1: n = stream_.read_some(to, {patience, stop}, ec); break;
    case 2: stream_.wait_readable(patience, ec); [[fallthrough]];
    default:
      if (!ec) n = stream_.read_some(to, patience, ec);
      break;
  }
  if (how == 3) stream_.set_read_deadline(tcp_stream::time_point::max());
  check(to.first(n));
  if (ec == std::errc::timed_out) {
    require(how == 0 || how == 3, "a read comes to an end");
    return true;
  }
  if (ec == std::errc::operation_canceled) return true;
  require(!ec || may_break(), "a read fails only if the connection was broken");
  return !ec && n != 0;
}

void talk::hold(dice chance) {
  const auto how = static_cast<ending>(chance.below(8) < 6 ? 0 : 1 + chance.below(2));
  const unsigned seed = chance.below(1u << 30);
  auto writer = heddle::spawn([&] { write_all(dice(seed)); });
  heddle::join_handle<void> ender;
  if (how != ending::half_close)
    ender = heddle::spawn([&, reset = how == ending::reset] { end_early(dice(seed + 1), reset); });
  const std::stop_token stop = meeting_.stops.token();
  while (read_once(chance, stop.stop_requested() ? meeting_.stops.token() : stop)) {
  }
  if (how == ending::half_close && !meeting_.rough) require(read_ == length_, "all that was sent comes back");
  ++(read_ == length_ ? meeting_.whole : meeting_.ended);
  if (read_ != length_) stream_.close();  // the writer need not wait for a server that has gone
  writer.join();
  if (how != ending::half_close) ender.join();
}

}  // namespace

void converse(meeting& m, dice chance) {
  std::error_code ec;
  tcp_stream s = tcp_stream::connect(m.server, patience, ec);
  require(!ec, "a connection is made");
  talk t(m, chance, std::move(s));
  t.hold(chance);
}

void send_back(tcp_stream& s) {
  std::array<std::byte, 4'000> b;
  while (const std::size_t n = s.read_some(b)) s.write(std::span(b).first(n));
  s.shutdown_write();
}

}  // namespace soak
