// SPDX-License-Identifier: BSL-1.0
#include "heddle/future.hpp"

#include <cstdlib>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"

namespace heddle::detail {

void throw_future_error(std::future_errc code) {
  on_home_stack([code] { throw std::future_error(code); });
  std::abort();  // not reached
}

std::exception_ptr broken_promise() noexcept {
  std::exception_ptr error;
  on_home_stack([&] { error = std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)); });
  return error;
}

}  // namespace heddle::detail
