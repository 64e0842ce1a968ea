// SPDX-License-Identifier: BSL-1.0
//
// The answer to a request, for all servers on Boost.Beast.
#pragma once

#include <boost/beast/http.hpp>
#include <string>

#include "http/hello.hpp"

namespace perf {

namespace http = boost::beast::http;

inline http::response<http::string_body> beast_answer(const http::request<http::empty_body>& request) {
  http::response<http::string_body> answer(http::status::ok, request.version());
  answer.set(http::field::date, "Mon, 30 Nov 2026 12:00:00 GMT");
  answer.set(http::field::content_type, "text/plain");
  answer.keep_alive(request.keep_alive());
  answer.body() = std::string(hello);
  answer.prepare_payload();
  return answer;
}

}  // namespace perf
