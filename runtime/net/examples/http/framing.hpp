// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

namespace examples::http {

/// The status of an answer to a request whose header is refused, 0 if it is not.
///
/// `header` is the request line and the fields, up to and with the empty line. What two readers could understand in two
/// ways is refused, never guessed (RFC 9112, sections 2.2, 3.2, 5, 6.1 to 6.3): with 400 a line that ends in LF alone,
/// CR and NUL elsewhere, a field that goes on in the next line, space before a colon; Content-Length that is no number
/// or comes twice, or together with Transfer-Encoding; Transfer-Encoding twice, in HTTP/1.0, or with chunked not as the
/// last coding; no Host in HTTP/1.1, or two. With 501 a coding that we do not have. The parser looks after the rest.
/// O(size).
unsigned refuse_header(std::string_view header) noexcept;

/// Whether two texts are the same but for the case of ASCII letters.
bool same_text(std::string_view a, std::string_view b) noexcept;

}  // namespace examples::http
