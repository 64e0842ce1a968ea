// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <system_error>

#include "heddle/detail/config.hpp"

namespace heddle::io {

/// Errors that only heddle's operations report; all else is an error of the system (std::errc).
enum class errc {
  closed = 1,       ///< the descriptor has been closed, before the operation or while it waited
  end_of_stream,    ///< the stream ended before as much had come as was asked for
  message_too_long  ///< a line or a record is longer than the limit that the caller set
};

HEDDLE_EXPORT const std::error_category& category() noexcept;
inline std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), category()}; }

/// The exception of the throwing forms: its text names the operation and what it was done on, such as
/// "read from 127.0.0.1:6379: Connection reset by peer".
class HEDDLE_EXPORT error : public std::system_error {
 public:
  error(std::error_code code, const std::string& operation) : std::system_error(code, operation) {}
  ~error() override;
};

}  // namespace heddle::io

template <>
struct std::is_error_code_enum<heddle::io::errc> : std::true_type {};
