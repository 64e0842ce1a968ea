// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "heddle/net/detail/connections.hpp"
#include "heddle/this_fiber.hpp"

namespace heddle::net::detail {
namespace {

constexpr std::chrono::milliseconds first_pause(5);
constexpr std::chrono::milliseconds longest_pause(1000);
constexpr unsigned accepts_in_a_row = 16;

int open_reserve() noexcept { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

/// Whether the system had no room for a connection, and may have it later.
bool is_shortage(const std::error_code& ec) noexcept {
  return ec.category() == std::system_category() &&
         (ec.value() == EMFILE || ec.value() == ENFILE || ec.value() == ENOBUFS || ec.value() == ENOMEM);
}

}  // namespace

connections::connections(std::size_t most, std::chrono::nanoseconds grace, const heddle::detail::stop_token& stop,
                         const exception_handler& on_exception)
    : most_(std::max<std::size_t>(most, 1)),
      grace_(grace),
      stop_(stop),
      on_exception_(on_exception),
      reserve_(open_reserve()),
      pause_(first_pause) {}

connections::~connections() {
  if (reserve_ >= 0) ::close(reserve_);
}

bool connections::admit() {
  std::unique_lock hold(lock_);
  while (admitted_ >= most_ && !stop_.stop_requested())
    changed_.wait(hold, stop_, [this] { return admitted_ < most_; });
  if (stop_.stop_requested()) return false;
  ++admitted_;
  return true;
}

void connections::leave() noexcept {
  const std::lock_guard hold(lock_);
  --admitted_;
  changed_.notify_all();
}

void connections::accepted() {
  pause_ = first_pause;
  if (reserve_ < 0) reserve_ = open_reserve();
  if (++in_a_row_ < accepts_in_a_row) return;
  in_a_row_ = 0;
  this_fiber::yield();
}

bool connections::recovers(const std::error_code& ec, const std::string& listener) {
  if (!is_shortage(ec)) return false;
  if (!std::exchange(shortage_told_, true))
    std::fprintf(stderr, "heddle: net::serve on %s: %s; connections wait until others have ended (said once)\n",
                 listener.c_str(), ec.message().c_str());
  if (reserve_ >= 0) {
    ::close(std::exchange(reserve_, -1));
    return true;  // there is one for the next now
  }
  std::unique_lock hold(lock_);
  changed_.wait_for(hold, pause_);
  pause_ = std::min(2 * pause_, longest_pause);
  return true;
}

std::error_code connections::failure(const std::error_code& ec) const noexcept {
  if (ec == io::errc::closed || stop_.stop_requested()) return {};
  return ec;
}

void connections::not_started(const char* why, const std::string& listener) {
  std::fprintf(stderr, "heddle: net::serve on %s: a connection is dropped: %s\n", listener.c_str(), why);
  leave();
}

void connections::wind_down() noexcept {
  std::unique_lock hold(lock_);
  changed_.wait_for(hold, grace_, [this] { return admitted_ == 0; });
  closing_ = true;
  for (const connection* c = first_; c != nullptr; c = c->next_) c->close_(c->stream_);
  changed_.wait(hold, [this] { return admitted_ == 0; });
}

void connections::report(const std::exception_ptr& e, const std::string& peer) const noexcept {
  try {
    if (on_exception_) return on_exception_(e, peer);
    std::rethrow_exception(e);
  } catch (const io::error&) {
  } catch (const std::exception& other) {
    std::fprintf(stderr, "heddle: net::serve: an exception left the handler of %s: %s\n", peer.c_str(), other.what());
  } catch (...) {
    std::fprintf(stderr, "heddle: net::serve: an exception left the handler of %s\n", peer.c_str());
  }
}

connection::connection(connections& all, void* stream, closing close, naming name)
    : all_(all), stream_(stream), close_(close), name_(name) {
  const std::lock_guard hold(all_.lock_);
  if (all_.closing_) close_(stream_);
  next_ = all_.first_;
  if (next_ != nullptr) next_->previous_ = this;
  all_.first_ = this;
}

void connection::end() noexcept {
  close_(stream_);
  const std::lock_guard hold(all_.lock_);
  (previous_ != nullptr ? previous_->next_ : all_.first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  --all_.admitted_;
  all_.changed_.notify_all();
}

void connection::report(const std::exception_ptr& e) const noexcept { all_.report(e, name_(stream_)); }

}  // namespace heddle::net::detail
