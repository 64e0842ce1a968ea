// SPDX-License-Identifier: BSL-1.0
#include <sys/socket.h>

#include "calls.hpp"
#include "served.hpp"

namespace heddle::blocking_calls {
namespace {

constinit next_function next_connect{"connect", &::connect};
constinit next_function next_accept{"accept", &::accept};
constinit next_function next_accept4{"accept4", &::accept4};

/// Whether connect() there waits for anybody. A datagram socket only notes the address.
bool meets_a_peer(int fd) noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  if (attempt(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
  return type == SOCK_STREAM || type == SOCK_SEQPACKET;
}

/// There is no way to try it on a blocking socket.
template <class Real>
int connecting(const blocked_calls& runtime, int fd, Real real) {
  if (!meets_a_peer(fd) || !is_blocking(fd)) return real();
  const lent_processor lent(runtime);
  return real();
}

}  // namespace

void find_connection_functions() noexcept {
  next_connect.find();
  next_accept.find();
  next_accept4.find();
}

}  // namespace heddle::blocking_calls

using namespace heddle::blocking_calls;

HEDDLE_CALL int connect(int fd, const sockaddr* to, socklen_t size) {
  auto* const next = next_connect.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(fd, to, size);
  return connecting(*runtime, fd, [=] { return next(fd, to, size); });
}

HEDDLE_CALL int accept(int fd, sockaddr* from, socklen_t* size) {
  auto* const next = next_accept.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(fd, from, size);
  return when_ready(*runtime, fd, POLLIN, [=] { return next(fd, from, size); });
}

HEDDLE_CALL int accept4(int fd, sockaddr* from, socklen_t* size, int flags) {
  auto* const next = next_accept4.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(fd, from, size, flags);
  return when_ready(*runtime, fd, POLLIN, [=] { return next(fd, from, size, flags); });
}
