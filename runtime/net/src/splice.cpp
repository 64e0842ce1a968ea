// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/splice.hpp"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>

#include "attempts.hpp"
#include "heddle/blocking.hpp"
#include "heddle/io/owned_descriptor.hpp"
#include "outcome.hpp"
#include "pipe_signal.hpp"

namespace heddle::io {
namespace {

constexpr std::size_t piece = std::size_t{64} << 10;

/// The system cannot do it with these descriptors.
bool is_refusal(const std::error_code& ec) noexcept {
  return ec == std::errc::invalid_argument || ec == std::errc::function_not_supported ||
         ec == std::errc::operation_not_supported;
}

std::ptrdiff_t splice_once(int from, int to, std::size_t n) noexcept {
  const detail::pipe_signal_held_back held;
  return ::splice(from, nullptr, to, nullptr, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

/// With the number of the error instead of errno: the file may not be in memory.
[[gnu::noinline]] std::ptrdiff_t send_once(int to, int file, off_t offset, std::size_t n) noexcept {
  return blocking([&]() -> std::ptrdiff_t {
    const detail::pipe_signal_held_back held;
    const ssize_t sent = ::sendfile(to, file, &offset, n);
    return sent >= 0 ? sent : -errno;
  });
}
[[gnu::noinline]] std::ptrdiff_t read_once(int file, off_t offset, std::byte* to, std::size_t n) noexcept {
  return blocking([&]() -> std::ptrdiff_t {
    const ssize_t got = ::pread(file, to, n, offset);
    return got >= 0 ? got : -errno;
  });
}

bool is_only_ours(detail::access_kind k) noexcept {
  return k == detail::access_kind::socket || k == detail::access_kind::own;
}

/// Others have it too, in the mode that they like: sendfile() would wait for room there, beyond limits.
bool is_shared(detail::access_kind k) noexcept {
  return k == detail::access_kind::shared || k == detail::access_kind::shared_socket;
}

}  // namespace

// --- files ----------------------------------------------------------------------------------------------------------

std::size_t stream::send_file(int file, off_t offset, std::size_t size, const limits& l, std::error_code& ec) {
  ec = errc::closed;
  if (core_ == nullptr || !take_turn(l, ec)) return 0;
  const std::lock_guard hold(core_->write_order, std::adopt_lock);
  if (is_shared(core_->kind)) return copy_file(file, offset, size, l, ec);
  std::size_t sent = 0;
  for (ec.clear(); sent != size;) {
    const std::size_t n = std::min(size - sent, piece * 16);
    // Fewer than asked for may mean the end of the file, and says nothing of the room that is left.
    const std::size_t now = detail::perform(
        core_->descriptor, detail::poll_side::write, l.bounds(), 0, ec,
        [&](int fd) { return detail::with_errno(send_once(fd, file, offset + static_cast<off_t>(sent), n)); });
    if (is_refusal(ec)) return sent + copy_file(file, offset + static_cast<off_t>(sent), size - sent, l, ec);
    if (ec) break;
    if (now == 0) {
      if (size != to_the_end) ec = errc::end_of_stream;
      break;
    }
    sent += now;
  }
  return sent;
}

/// The same through a buffer; the caller has the turn.
std::size_t stream::copy_file(int file, off_t offset, std::size_t size, const limits& l, std::error_code& ec) {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(piece);
  std::size_t sent = 0;
  for (ec.clear(); sent != size && !ec;) {
    const std::ptrdiff_t n =
        read_once(file, offset + static_cast<off_t>(sent), buffer.get(), std::min(size - sent, piece));
    if (n == -EINTR) continue;
    if (n < 0) ec = std::error_code(static_cast<int>(-n), std::system_category());
    if (n == 0 && size != to_the_end) ec = errc::end_of_stream;
    if (n <= 0) break;
    iovec part{buffer.get(), static_cast<std::size_t>(n)};
    sent += write_all(&part, 1, l.bounds(), ec);
  }
  return sent;
}

std::size_t stream::send_file(int file, off_t offset, std::size_t size, const limits& l) {
  std::error_code ec;
  const std::size_t n = send_file(file, offset, size, l, ec);
  check(ec, "send a file to");
  return n;
}

// --- streams --------------------------------------------------------------------------------------------------------

namespace detail {

/// One call of splice_all().
class splicing {
 public:
  splicing(stream& from, stream& to, const limits& l) noexcept : from_(from), to_(to), limits_(l) {}

  std::uint64_t run(std::error_code& ec) {
    ec = errc::closed;
    if (from_.core() == nullptr || to_.core() == nullptr) return 0;
    if (is_only_ours(from_.core()->kind) && is_only_ours(to_.core()->kind) && make_pipe())
      while (move_piece(ec)) {
      }
    else
      ec = std::make_error_code(std::errc::invalid_argument);
    if (is_refusal(ec)) copy(ec);
    return written_;
  }

 private:
  bool make_pipe() noexcept {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return false;
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
    return true;
  }

  /// From the one to the pipe, which is empty, and from there to the other. False: the end, or an error.
  bool move_piece(std::error_code& ec) {
    const auto fill = [this](int fd) { return splice_once(fd, writer_.get(), piece); };
    std::size_t held = perform(from_.core()->descriptor, poll_side::read, limits_.bounds(), 0, ec, fill);
    if (ec || held == 0) return false;
    while (held != 0) {
      const auto empty = [this, held](int fd) { return splice_once(reader_.get(), fd, held); };
      const std::size_t n = perform(to_.core()->descriptor, poll_side::write, limits_.bounds(), 0, ec, empty);
      if (ec) return is_refusal(ec) && empty_by_copying(held, ec);
      held -= n;
      written_ += n;
    }
    return true;
  }

  /// Bytes that are in the pipe already must not be lost. False: the rest is to be copied, too.
  bool empty_by_copying(std::size_t held, std::error_code& ec) {
    const std::error_code refusal = ec;
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(held);
    const ssize_t n = ::read(reader_.get(), buffer.get(), held);
    written_ +=
        to_.write(std::span<const std::byte>(buffer.get(), n > 0 ? static_cast<std::size_t>(n) : 0), limits_, ec);
    if (!ec) ec = refusal;
    return false;
  }

  void copy(std::error_code& ec) {
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(piece);
    for (;;) {
      const std::size_t n = from_.read_some({buffer.get(), piece}, limits_, ec);
      if (ec || n == 0) return;
      written_ += to_.write(std::span<const std::byte>(buffer.get(), n), limits_, ec);
      if (ec) return;
    }
  }

  stream& from_;
  stream& to_;
  const limits& limits_;
  owned_descriptor reader_, writer_;
  std::uint64_t written_ = 0;
};

}  // namespace detail

std::uint64_t splice_all(stream& from, stream& to, const limits& l, std::error_code& ec) {
  return detail::splicing(from, to, l).run(ec);
}

std::uint64_t splice_all(stream& from, stream& to, const limits& l) {
  std::error_code ec;
  const std::uint64_t n = splice_all(from, to, l, ec);
  if (ec) throw error(ec, "splice " + from.name() + " to " + to.name());
  return n;
}

}  // namespace heddle::io
