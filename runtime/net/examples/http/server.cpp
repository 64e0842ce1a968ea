// SPDX-License-Identifier: BSL-1.0
#include "server.hpp"

#include <atomic>
#include <system_error>

#include "framing.hpp"

namespace examples::http {
namespace {

using clock = std::chrono::steady_clock;

/// Whether a line ends in LF alone, at `from` or behind.
bool has_bare_feed(std::string_view text, std::size_t from) noexcept {
  for (auto at = text.find('\n', from); at != std::string_view::npos; at = text.find('\n', at + 1))
    if (at == 0 || text[at - 1] != '\r') return true;
  return false;
}

}  // namespace

session::session(transport& t, const handler& h, const server_options& o, const std::stop_token& stop,
                 const std::string& client)
    : transport_(t),
      handle_(h),
      options_(o),
      stop_(stop),
      client_(client),
      wire_(t, o.limits),
      wake_(stop_, waker{&transport_}) {}

session::~session() { wire_.rest(); }

bool session::begins_rest() {
  if (ended_) return false;
  try {
    transport_.set_read_deadline(tick() + options_.limits.idle_time);
    // Either we see the stop request in may_wait(), or its callback sees, and overwrites, the deadline that we have
    // just set. seq_cst: our store of the deadline comes before our load of the request; the stopper's come the other
    // way round.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } catch (const std::system_error&) {
    rested_enough_ = true;
  }
  return true;
}

void session::work() {
  try {
    if (rested_enough_ || stop_.stop_requested()) {
      ended_ = true;
      return transport_.shutdown_write();
    }
    wire_.begin();
    do {
      ended_ = !answer_request();
    } while (!ended_ && !input().empty() && !stop_.stop_requested());
    if (ended_ && !silent_) wire_.hang_up();
  } catch (const std::system_error&) {  // the client is gone, or does not take what it asked for
    ended_ = true;
  }
  wire_.rest();
}

/// Some clients send an empty line behind a body (RFC 9112, section 2.2): `left` of them are skipped.
void session::skip_empty_lines(int& left) {
  for (; left > 0; --left) {
    const auto unread = input().unread();
    const std::string_view text(reinterpret_cast<const char*>(unread.data()), unread.size());
    if (!text.starts_with("\r\n")) return;
    input().consume(2);
  }
}

/// The header of the next request, at the front of the window; empty: there is none.
std::string_view session::read_header() {
  time_point deadline{};
  int empty_lines = 2;
  for (std::size_t searched = 0;;) {
    if (searched == 0) skip_empty_lines(empty_lines);
    const auto unread = input().unread();
    const std::string_view text(reinterpret_cast<const char*>(unread.data()), unread.size());
    const std::size_t end = text.find("\r\n\r\n", searched);
    const std::size_t size = end == std::string_view::npos ? text.size() : end + 4;
    if (size > options_.limits.header_size) throw refusal{431};
    if (end != std::string_view::npos) return text.substr(0, size);
    if (has_bare_feed(text, searched)) throw refusal{400};  // it would never end
    searched = text.size() < 3 ? 0 : text.size() - 3;
    if (!read_more_of_header(deadline)) return {};
  }
}

/// The first read has the time of a connection that rests. False: it was the end.
bool session::read_more_of_header(time_point& deadline) {
  const bool first = input().empty();
  if (input().room().empty()) throw refusal{431};
  if (!first && deadline == time_point{}) deadline = clock::now() + options_.limits.header_time;
  try {
    if ((first ? wire_.read() : wire_.read_before(deadline)) > 0) return true;
  } catch (const std::system_error& error) {
    if (!is_timeout(error)) throw;
    if (!first) throw refusal{408};
    return false;
  }
  if (!first) throw refusal{400};  // half a request
  silent_ = true;
  return false;
}

void session::parse(request_parser& parser) {
  const std::string_view header = read_header();
  if (header.empty()) return;
  if (const unsigned status = refuse_header(header)) throw refusal{status};
  parser.header_limit(static_cast<std::uint32_t>(input_window::capacity));
  parser.body_limit(options_.limits.body_size);
  boost::system::error_code error;
  const std::size_t used = parser.put({header.data(), header.size()}, error);
  if (error || !parser.is_header_done()) throw refusal{status_of(error)};
  input().consume(used);
}

/// False: the connection ends.
bool session::answer_request() {
  wire_.area().memory.release();
  request_parser parser(wire_.area().memory, options_.limits.fields);
  try {
    parse(parser);
  } catch (const refusal& r) {
    refuse(r.status);
    return false;
  }
  if (!parser.is_header_done()) return false;
  const time_point began = options_.log ? clock::now() : time_point{};
  request q(wire_, parser);
  response a(wire_, q, !stop_.stop_requested());
  const bool answered = run_handler(q, a);
  if (options_.log) log(q, a, began);
  return answered && a.keep_alive() && discard_body(q);
}

/// False: the answer is not whole.
bool session::run_handler(request& q, response& a) {
  unsigned failure = 0;
  try {
    q.check_expectation();
    handle_(q, a);
    if (!a.begun()) a.send();
    a.end();
    return true;
  } catch (const refusal& r) {
    failure = r.status;
  } catch (...) {
    failure = 500;
  }
  if (!a.begun()) a.fail(failure);  // throws if the client is gone
  return false;
}

/// Bytes of a body that the handler has not read are no request. False: it is too long, or broken, or the client holds
/// it back.
bool session::discard_body(request& q) {
  if (q.body_done()) return true;
  if (q.withholds_body()) return false;
  std::byte part[1'024];
  try {
    for (std::size_t total = 0; total <= options_.limits.discarded;) {
      const std::size_t n = q.read_body(part);
      if (n == 0) return true;
      total += n;
    }
  } catch (const refusal&) {  // the request has its answer
  }
  return false;
}

/// An answer to what was not understood; the connection ends.
void session::refuse(unsigned status) {
  const std::string_view reason = text_of(beast::obsolete_reason(static_cast<beast::status>(status)));
  std::string text = "HTTP/1.1 " + std::to_string(status) + ' ' + std::string(reason) + "\r\nDate: ";
  text += wire_.area().date.now();
  text += "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
  if (options_.log) options_.log({client_, {}, {}, 11, {}, {}, status, 0, {}});
  wire_.write(std::as_bytes(std::span(text)));
}

void session::log(const request& q, const response& a, time_point began) const {
  options_.log({client_, q.method_text(), q.target(), q.version(), q.field(beast::field::referer).value_or(""),
                q.field(beast::field::user_agent).value_or(""), a.status(), a.body_bytes(), clock::now() - began});
}

}  // namespace examples::http
