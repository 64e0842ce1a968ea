// SPDX-License-Identifier: BSL-1.0
#include <sys/socket.h>

#include "common/net/ring.hpp"

namespace {

using perf::net::buffer_ring;
using perf::net::ring;

enum class kind : std::uint8_t { accept, receive, send };

/// The data of a completion: the connection that it belongs to, and the buffer.
struct mark {
  std::int32_t fd;
  std::uint16_t buffer;
  kind what;

  std::uint64_t packed() const {
    return std::uint64_t{static_cast<std::uint32_t>(fd)} << 32 | std::uint64_t{buffer} << 8 |
           static_cast<std::uint64_t>(what);
  }
  static mark of(std::uint64_t data) {
    return {static_cast<std::int32_t>(data >> 32), static_cast<std::uint16_t>(data >> 8),
            static_cast<kind>(data & 0xff)};
  }
};

/// One accept and a receive for each connection stay armed; what arrives is sent from the buffer in which it lies. Two
/// sends of one connection may be under way, but the kernel begins each when it takes it, in order, and only a client
/// that does not read could make the first wait.
class server {
 public:
  explicit server(std::size_t size) : buffers_(ring_, 4'096, size) { accept(); }

  [[noreturn]] void serve() {
    for (;;) {
      ring_.enter(1);
      ring_.reap([this](const io_uring_cqe& done) { handle(mark::of(done.user_data), done.res, done.flags); });
      buffers_.publish();
    }
  }

 private:
  io_uring_sqe& prepare(std::uint8_t opcode, mark m, int fd) {
    io_uring_sqe& entry = ring_.next();
    entry.opcode = opcode;
    entry.fd = fd;
    entry.user_data = m.packed();
    return entry;
  }
  void accept() {
    io_uring_sqe& entry = prepare(IORING_OP_ACCEPT, {listener_, 0, kind::accept}, listener_);
    entry.ioprio = IORING_ACCEPT_MULTISHOT;
    entry.accept_flags = SOCK_CLOEXEC;
  }
  void receive(int fd) {
    io_uring_sqe& entry = prepare(IORING_OP_RECV, {fd, 0, kind::receive}, fd);
    entry.ioprio = IORING_RECV_MULTISHOT;
    entry.flags = IOSQE_BUFFER_SELECT;
    entry.buf_group = buffer_ring::group;
  }
  void send(int fd, std::uint16_t buffer, int size) {
    io_uring_sqe& entry = prepare(IORING_OP_SEND, {fd, buffer, kind::send}, fd);
    entry.addr = reinterpret_cast<std::uint64_t>(buffers_[buffer]);
    entry.len = static_cast<std::uint32_t>(size);
    entry.msg_flags = MSG_WAITALL | MSG_NOSIGNAL;  // the kernel goes on after a part
  }

  void handle(mark m, int result, std::uint32_t flags) {
    const bool armed = (flags & IORING_CQE_F_MORE) != 0;
    switch (m.what) {
      case kind::accept:
        perf::require(result >= 0 || result == -ECONNABORTED, "accept failed");
        if (result >= 0) receive(result);
        if (!armed) accept();
        break;
      case kind::receive:
        if (result > 0) send(m.fd, static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT), result);
        if (result > 0 ? !armed : result == -ENOBUFS) receive(m.fd);
        if (result <= 0 && result != -ENOBUFS) ::close(m.fd);  // no receive is armed any more
        break;
      case kind::send: buffers_.give(m.buffer); break;  // a client that is gone ends by its receive
    }
  }

  ring ring_{4'096};
  buffer_ring buffers_;
  const int listener_ = perf::net::listen_on_loopback(0);
};

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::server_arguments(argc, argv);
  server(args["size"]).serve();
}
