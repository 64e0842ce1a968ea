// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/error.hpp"

namespace heddle::io {
namespace {

class io_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "heddle.io"; }
  std::string message(int e) const override {
    switch (static_cast<errc>(e)) {
      case errc::closed: return "closed";
      case errc::end_of_stream: return "the stream has ended";
      case errc::message_too_long: return "longer than the limit";
    }
    return "unknown error " + std::to_string(e);
  }
};

}  // namespace

const std::error_category& category() noexcept {
  static const io_category the_category;
  return the_category;
}

error::~error() = default;

}  // namespace heddle::io
