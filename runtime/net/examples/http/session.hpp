// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "access_log.hpp"
#include "limits.hpp"
#include "request.hpp"
#include "request_parser.hpp"
#include "response.hpp"
#include "wire.hpp"

namespace examples::http {

/// Answers a request. One that returns without an answer gives an empty one of the status that it has set; one that
/// throws, 500, or the end of the connection if the answer was begun. Called from all connections at once.
using handler = std::function<void(request&, response&)>;

struct server_options {
  http::limits limits;
  access_log log;  ///< or none
};

/// One connection, but for the loop around it: that is in serve(), since it waits where its caller stands.
class session {
 public:
  session(transport& t, const handler& h, const server_options& o, const std::stop_token& stop,
          const std::string& client);
  ~session();
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  /// Before the connection rests, however short. False: it has ended.
  bool begins_rest();
  /// Whether it may wait for a request now.
  bool may_wait() const noexcept { return !rested_enough_ && !stop_.stop_requested(); }
  /// The wait has ended with an error, or in time.
  void rested_enough() noexcept { rested_enough_ = true; }
  /// Answers what has come, and what comes with it.
  void work();

 private:
  /// Ends a rest; a connection that works sets its deadline again.
  struct waker {
    transport* connection;
    void operator()() const { connection->set_read_deadline(time_point::min()); }
  };

  bool answer_request();
  std::string_view read_header();
  void skip_empty_lines(int& left);
  bool read_more_of_header(time_point& deadline);
  void parse(request_parser& parser);
  bool run_handler(request& q, response& a);
  bool discard_body(request& q);
  void refuse(unsigned status);
  void log(const request& q, const response& a, time_point began) const;

  input_window& input() { return wire_.area().input; }

  transport& transport_;
  const handler& handle_;
  const server_options& options_;
  const std::stop_token& stop_;
  const std::string& client_;
  wire wire_;
  bool rested_enough_ = false;
  bool ended_ = false;
  bool silent_ = false;  // the client has closed before it asked: nothing is left to say
  std::stop_callback<waker> wake_;
};

}  // namespace examples::http
