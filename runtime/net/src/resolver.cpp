// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/detail/resolver.hpp"

#include <charconv>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "heddle/blocking.hpp"
#include "heddle/condition_variable.hpp"
#include "heddle/fiber.hpp"
#include "heddle/net/resolve.hpp"
#include "heddle/semaphore.hpp"
#include "hosts_file.hpp"

namespace heddle::net::detail {
namespace {

/// getaddrinfo itself needs some 10 KiB; modules for the Name Service Switch may need more.
constexpr std::size_t stack_size = std::size_t{256} << 10;

std::optional<std::uint16_t> port_of(std::string_view service) noexcept {
  std::uint16_t port = 0;
  const char* const end = service.data() + service.size();
  const auto [at, error] = std::from_chars(service.data(), end, port);
  if (error != std::errc() || at != end) return std::nullopt;
  return port;
}

std::optional<endpoint> numeric(std::string_view host, std::uint16_t port) {
  std::string text(host);
  text.append(":").append(std::to_string(port));
  if (auto e = endpoint::try_parse(text)) return e;
  text.insert(0, 1, '[').insert(host.size() + 1, 1, ']');
  return endpoint::try_parse(text);
}

/// RFC 6761, 6.3: the loopback addresses, whatever a name server says.
bool is_localhost(std::string_view name) noexcept { return name == "localhost" || name.ends_with(".localhost"); }

std::error_code why_over(const wait_bounds& b) noexcept {
  const bool stopped = b.stop != nullptr && b.stop->stop_requested();
  return std::make_error_code(stopped ? std::errc::operation_canceled : std::errc::timed_out);
}

}  // namespace

struct resolver::answers {
  std::error_code error;
  std::vector<endpoint> found;
};

struct resolver::query {
  query(std::string h, std::string s) : host(std::move(h)), service(std::move(s)) {}
  const std::string host, service;
  std::stop_source abandoned;  ///< requested when the last caller goes and `stoppable` is set
  // The rest under the lock of the state.
  std::size_t waiting = 0;  ///< callers
  bool stoppable = true;
  bool answered = false;
  answers result;
  condition_variable is_answered;
};

struct resolver::state {
  state(std::string hosts_path, look_up_functions f)
      : hosts(std::move(hosts_path)),
        functions(std::move(f)),
        first_calls(functions.most_first),
        blocking_calls(functions.most_blocking) {}
  hosts_file hosts;
  const look_up_functions functions;
  semaphore first_calls, blocking_calls;  ///< those that may begin
  mutex lock;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<query>> under_way;  ///< under the lock

  void forget(const query& q) {
    const auto at = under_way.find({q.host, q.service});
    if (at != under_way.end() && at->second.get() == &q) under_way.erase(at);
  }
};

resolver::resolver(std::string hosts_path, look_up_functions f)
    : state_(std::make_shared<state>(std::move(hosts_path), std::move(f))) {}
resolver::~resolver() = default;

/// Under the lock.
std::shared_ptr<resolver::query> resolver::join_or_begin(const std::shared_ptr<state>& s, std::string host,
                                                         std::string service) {
  auto& entry = s->under_way[{host, service}];
  if (entry != nullptr) return entry;
  const std::pair key(host, service);
  try {
    entry = std::make_shared<query>(std::move(host), std::move(service));
    entry->stoppable = s->functions.first != nullptr;
    go({.name = "resolver", .stack_size = stack_size}, [s, q = entry] { answer(*s, *q); });
  } catch (...) {
    s->under_way.erase(key);
    throw;
  }
  return entry;
}

/// A caller goes, which still has the lock.
void resolver::leave(state& s, std::unique_lock<mutex>& hold, const std::shared_ptr<query>& q) {
  if (--q->waiting != 0 || !q->stoppable || q->answered) return;
  s.forget(*q);
  hold.unlock();
  q->abandoned.request_stop();
}

/// Nothing: it has no answer, or was stopped.
std::optional<resolver::answers> resolver::ask_first(state& s, query& q) noexcept {
  const auto port = q.service.empty() ? std::optional<std::uint16_t>(0) : port_of(q.service);
  if (s.functions.first == nullptr || !port) return std::nullopt;
  const stop_token abandoned = q.abandoned.get_token();
  if (!s.first_calls.acquire(abandoned)) return std::nullopt;
  answers a;
  bool has_answer = true;
  try {
    const auto error = s.functions.first(q.host, *port, abandoned, a.found);
    has_answer = error.has_value();
    a.error = error.value_or(std::error_code());
  } catch (...) {  // of memory, or of a function that is not ours
    a.error = std::make_error_code(std::errc::not_enough_memory);
  }
  s.first_calls.release();
  if (!has_answer) return std::nullopt;
  return a;
}

/// Nothing: there is nobody to be answered.
std::optional<resolver::answers> resolver::ask_blocking(state& s, query& q) noexcept {
  if (!s.blocking_calls.acquire(q.abandoned.get_token())) return std::nullopt;
  std::unique_lock hold(s.lock);
  const bool wanted = q.waiting != 0;
  if (!wanted) s.forget(q);  // nobody joins it any more
  q.stoppable = false;
  hold.unlock();
  answers a;
  if (wanted) {
    try {
      a.error = blocking([&] { return s.functions.blocking(q.host, q.service, a.found); });
    } catch (...) {  // as above
      a.error = std::make_error_code(std::errc::not_enough_memory);
    }
  }
  s.blocking_calls.release();
  if (!wanted) return std::nullopt;
  return a;
}

void resolver::answer(state& s, query& q) noexcept {
  auto a = ask_first(s, q);
  if (!a) a = ask_blocking(s, q);
  const std::lock_guard hold(s.lock);
  if (a) q.result = std::move(*a);
  q.answered = true;
  s.forget(q);
  q.is_answered.notify_all();
}

/// The port of a service by its name, on a fiber with the stack that the C library needs.
std::optional<std::uint16_t> port_by_name(const std::string& service, std::error_code& ec) {
  return spawn({.name = "resolver", .stack_size = stack_size},
               [&]() -> std::optional<std::uint16_t> {
                 std::vector<endpoint> found;
                 ec = blocking([&] { return look_up("0.0.0.0", service, found); });
                 return ec ? std::nullopt : std::optional(found.front().port());
               })
      .join();
}

std::vector<endpoint> resolver::resolve(std::string_view host, std::string_view service, const io::limits& l,
                                        std::error_code& ec) {
  ec.clear();
  if (host.empty() || host.find('\0') != std::string_view::npos || service.find('\0') != std::string_view::npos) {
    ec = resolve_errc::host_not_found;
    return {};
  }
  std::string service_text(service);
  auto port = service.empty() ? std::optional<std::uint16_t>(0) : port_of(service);
  // Name servers know no services, so that the port is known before they are asked.
  if (!port && state_->functions.first != nullptr) {
    port = port_by_name(service_text, ec);
    if (ec) return {};
    service_text = std::to_string(*port);
  }
  if (port) {
    if (const auto e = numeric(host, *port)) return {*e};
    const std::string name = lower(host.ends_with('.') ? host.substr(0, host.size() - 1) : host);
    if (auto found = state_->hosts.find(name, *port); !found.empty()) return found;
    if (is_localhost(name)) return {endpoint::loopback_v6(*port), endpoint::loopback_v4(*port)};
  }
  const wait_bounds& b = l.bounds();
  if (over(b)) {
    ec = why_over(b);
    return {};
  }
  return join(lower(host), std::move(service_text), b, ec);
}

std::vector<endpoint> resolver::join(std::string host, std::string service, const wait_bounds& b, std::error_code& ec) {
  std::unique_lock hold(state_->lock);
  const std::shared_ptr<query> q = join_or_begin(state_, std::move(host), std::move(service));
  ++q->waiting;
  const auto stop = b.stop != nullptr ? *b.stop : stop_token();
  const std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(b.deadline)};
  const bool answered = q->is_answered.wait_until(hold, stop, until, [&] { return q->answered; });
  ec = answered ? q->result.error : why_over(b);
  std::vector<endpoint> found = ec ? std::vector<endpoint>() : q->result.found;
  leave(*state_, hold, q);
  return found;
}

}  // namespace heddle::net::detail
