// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netdb.h>

#include <cstdint>
#include <string_view>
#include <system_error>
#include <vector>

#include "heddle/detail/config.hpp"
#include "heddle/io/error.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/net/endpoint.hpp"

namespace heddle::net {

using io::limits;

/// The errors of the resolution of names: the codes of getaddrinfo(3). Its EAI_SYSTEM never comes; the error of the
/// system that it stands for comes instead.
enum class resolve_errc {
  host_not_found = EAI_NONAME,      ///< no such host, or no such service
  try_again = EAI_AGAIN,            ///< no name server has answered; it may do so later
  failed = EAI_FAIL,                ///< a name server refuses to answer
  no_address = EAI_NODATA,          ///< the host is known, but has no address
  service_not_found = EAI_SERVICE,  ///< no such service for TCP
  no_family = EAI_FAMILY,           ///< neither version of the Internet Protocol is there
  bad_flags = EAI_BADFLAGS,         ///< never, unless the C library is not what we know
  no_socket_type = EAI_SOCKTYPE,    ///< the same
  out_of_memory = EAI_MEMORY        ///< there was no memory
};

HEDDLE_EXPORT const std::error_category& resolve_category() noexcept;
inline std::error_code make_error_code(resolve_errc e) noexcept { return {static_cast<int>(e), resolve_category()}; }

/// The addresses of a host, with the port of a service, in the order in which they should be tried.
///
/// \param host     a name, or an address ("127.0.0.1", "::1", "fe80::1%eth0")
/// \param service  a port ("80"), or a name ("http")
/// \param l        how long to wait
/// \return one at least
///
/// \code
/// for (const net::endpoint& e : net::resolve("example.org", "https", 5s)) std::puts(e.to_string().c_str());
/// \endcode
///
/// An address with the number of a port, localhost and all below it, and the names in /etc/hosts take a system call at
/// most. All else is asked by a fiber of its own: by c-ares where it is installed and the system has its names from
/// files and name servers alone (128 questions at once), else by getaddrinfo(3), of which the runtime knows that it may
/// block (32 calls at once). Further ones wait for them; runtime/net/README.md has the rules. Callers that ask for the
/// same share a question. When nobody waits for it any more c-ares breaks it off; a call of getaddrinfo goes on if it
/// has begun.
///
/// Unlike getaddrinfo it blocks the fiber only. From a plain thread it starts a runtime if it has to ask.
/// The throwing form throws io::error: "resolve example.org: Name or service not known". Both throw std::bad_alloc, and
/// std::system_error if there is no thread for a runtime. Errors: resolve_errc, those of the limits and of the system.
HEDDLE_EXPORT std::vector<endpoint> resolve(std::string_view host, std::string_view service, const limits& l,
                                            std::error_code& ec);
HEDDLE_EXPORT std::vector<endpoint> resolve(std::string_view host, std::string_view service, const limits& l = {});
HEDDLE_EXPORT std::vector<endpoint> resolve(std::string_view host, std::uint16_t port, const limits& l,
                                            std::error_code& ec);
HEDDLE_EXPORT std::vector<endpoint> resolve(std::string_view host, std::uint16_t port, const limits& l = {});

}  // namespace heddle::net

template <>
struct std::is_error_code_enum<heddle::net::resolve_errc> : std::true_type {};
