// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>

#include "heddle/io/stream.hpp"

namespace heddle::io::detail {

/// Of a stream whose name does not change.
struct named_core final : stream_core {
  named_core(int fd, access_kind k, std::string n) : stream_core(fd, k), text(std::move(n)) {}
  std::string name() const override { return text; }
  const std::string text;
};

}  // namespace heddle::io::detail
