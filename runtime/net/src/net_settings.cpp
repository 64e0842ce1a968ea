// SPDX-License-Identifier: BSL-1.0
#include "net_settings.hpp"

#include <cstdlib>

#include "heddle/detail/option_list.hpp"

namespace heddle {
namespace {

using detail::option_form;
using detail::option_value;

constexpr detail::option_entry<net_options> table[] = {
    {{.name = "cares",
      .form = option_form::on_off,
      .default_value = "on",
      .meaning = "c-ares asks name servers, if heddle was built with it"},
     [](net_options& o, const option_value& value) { o.cares = value.number != 0; }},
    {{.name = "ring",
      .form = option_form::on_off,
      .default_value = "on",
      .meaning = "files are read and written by io_uring, where the kernel has it"},
     [](net_options& o, const option_value& value) { o.ring = value.number != 0; }},
};

}  // namespace

net_options parse_net_options(std::string_view text) noexcept {
  net_options o;
  detail::read_option_list("HEDDLE_NET", text, table, o);
  return o;
}

const net_options& net_settings() noexcept {
  static const net_options of_process = [] {
    const char* const text = ::secure_getenv("HEDDLE_NET");
    return parse_net_options(text != nullptr ? text : "");
  }();
  return of_process;
}

}  // namespace heddle
