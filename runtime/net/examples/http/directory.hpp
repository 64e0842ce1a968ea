// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "request.hpp"
#include "response.hpp"

namespace examples::http {

/// A directory of the file system as a handler: GET and HEAD of files, of their parts (RFC 9110, section 14), and of
/// what has changed (section 13). A directory is its index.html. No path leads out of it, neither by ".." nor by a
/// symbolic link: the kernel sees to that (openat2, RESOLVE_BENEATH). Bodies go by sendfile.
///
///     const http::directory files("/srv/www");
///     http::serve(stream, std::ref(files), options);
///
/// May be called from all connections at once.
class directory {
 public:
  /// Throws std::system_error, with the path, if it cannot be opened.
  explicit directory(const std::string& path);
  ~directory();
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;

  void operator()(request& q, response& a) const;

 private:
  int root_;
};

/// The path of a request's target, relative and decoded, "." for the root; nothing: it has none, or one with a NUL, or
/// a % without two hexadecimal digits.
std::optional<std::string> path_of(std::string_view target);

/// By the end of the name; application/octet-stream if it is none that we know.
std::string_view content_type_of(std::string_view path) noexcept;

}  // namespace examples::http
