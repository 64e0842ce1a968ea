// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/dial.hpp"

#include <string>
#include <utility>

#include "heddle/net/detail/connect_any.hpp"
#include "heddle/net/detail/target.hpp"
#include "process_resolver.hpp"

namespace heddle::net {
namespace {

detail::target target_of(std::string_view host, std::intmax_t port, std::string_view service) noexcept {
  return std::in_range<std::uint16_t>(port) ? detail::target{host, service} : detail::target{};
}

std::string text_of(const std::vector<detail::failed_attempt>& failures) {
  std::string text;
  for (const detail::failed_attempt& f : failures)
    text.append(text.empty() ? " (" : "; ").append(f.to.to_string()).append(": ").append(f.error.message());
  if (!text.empty()) text += ')';
  return text;
}

tcp_stream dial_parts(const detail::target& to, const limits& l, std::vector<detail::failed_attempt>& failures,
                      std::error_code& ec) {
  ec = std::make_error_code(std::errc::invalid_argument);
  if (to.host.empty()) return {};
  return detail::dial(process_resolver(), to.host, to.service, l, failures, ec);
}

tcp_stream dial_or_throw(const detail::target& to, std::string_view target, const limits& l) {
  std::vector<detail::failed_attempt> failures;
  std::error_code ec;
  tcp_stream s = dial_parts(to, l, failures, ec);
  if (ec) throw io::error(ec, "dial " + std::string(target) + text_of(failures));
  return s;
}

}  // namespace

tcp_stream detail::dial_port(std::string_view host, std::intmax_t port, const limits& l, std::error_code& ec) {
  const std::string service = std::to_string(port);
  std::vector<failed_attempt> failures;
  return dial_parts(target_of(host, port, service), l, failures, ec);
}

tcp_stream detail::dial_port(std::string_view host, std::intmax_t port, const limits& l) {
  const std::string service = std::to_string(port);
  const bool is_v6 = host.find(':') != std::string_view::npos;
  std::string target(is_v6 ? "[" : "");
  target.append(host).append(is_v6 ? "]:" : ":").append(service);
  return dial_or_throw(target_of(host, port, service), target, l);
}

tcp_stream dial(std::string_view target, const limits& l, std::error_code& ec) {
  std::vector<detail::failed_attempt> failures;
  return dial_parts(detail::split_target(target), l, failures, ec);
}

tcp_stream dial(std::string_view target, const limits& l) {
  return dial_or_throw(detail::split_target(target), target, l);
}

}  // namespace heddle::net
