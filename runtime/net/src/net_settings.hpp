// SPDX-License-Identifier: BSL-1.0
//
// The settings in HEDDLE_NET, written as heddle/detail/option_list.hpp says. Read when the first is asked for.
#pragma once

#include <string_view>

namespace heddle {

struct net_options {
  bool cares = true;  ///< names by c-ares, where it is there (key `cares`)
  bool ring = true;   ///< files by io_uring (key `ring`)
};

/// Unknown names and bad values are reported on stderr by name, and have no effect.
net_options parse_net_options(std::string_view text) noexcept;

/// Of the process. Those of the code where the process has rights that its starter has not.
const net_options& net_settings() noexcept;

}  // namespace heddle
