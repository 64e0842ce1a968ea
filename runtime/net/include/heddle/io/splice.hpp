// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/io/stream.hpp"

namespace heddle::io {

/// Sends on to `to` all that comes from `from`, until that ends, without taking it out of the system (splice(2), by a
/// pipe in between), or by a buffer where that cannot be had. Returns how many bytes `to` has taken. A proxy needs one
/// for each direction, and passes on each end when it comes:
///
///     auto back = heddle::spawn([&] {
///       io::splice_all(server, client);
///       client.shutdown_write();
///     });
///     io::splice_all(client, server);
///     server.shutdown_write();
///     back.join();
///
/// Errors are those of both streams; the limits are for all of it. Bytes that had been read and not been written are
/// lost then. Bytes that others write to `to` meanwhile may come in between. The form with an error code throws
/// std::bad_alloc only.
HEDDLE_EXPORT std::uint64_t splice_all(stream& from, stream& to, const limits& l, std::error_code& ec);
/// Throws io::error: "splice 127.0.0.1:80 to 127.0.0.1:9000: Broken pipe".
HEDDLE_EXPORT std::uint64_t splice_all(stream& from, stream& to, const limits& l = {});

}  // namespace heddle::io
