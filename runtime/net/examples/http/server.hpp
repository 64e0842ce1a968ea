// SPDX-License-Identifier: BSL-1.0
//
// HTTP/1.1 over any stream (RFC 9110, 9112): Boost.Beast parses and serializes, this has the buffers, the clocks, and
// the order of things. README.md says the rest.
#pragma once

#include <stop_token>
#include <string>
#include <system_error>

#include "session.hpp"
#include "stream.hpp"

namespace examples::http {

/// Serves one connection up to its end: requests one after the other, those that were sent ahead too. A stop request
/// lets the request under way have its answer, with "Connection: close", and ends a connection that rests. The caller
/// closes the stream; `client` is a name for the log. Throws nothing but what the log throws, and std::bad_alloc.
///
///     http::serve(stream, [](http::request&, http::response& a) { a.send("hello\n"); }, options, stop);
///
/// It waits here, and calls nothing by a pointer here: on a stack that grows a function that does holds a large segment
/// as long as it runs.
template <stream S>
void serve(S& s, const handler& handle, const server_options& options, const std::stop_token& stop = {},
           const std::string& client = {}) {
  stream_transport<S> connection(s);
  session one(connection, handle, options, stop, client);
  while (one.begins_rest()) {
    try {
      if (one.may_wait()) connection.wait_readable();
    } catch (const std::system_error&) {
      one.rested_enough();
    }
    connection.run([](void* raw) { static_cast<session*>(raw)->work(); }, &one);
  }
}

}  // namespace examples::http
