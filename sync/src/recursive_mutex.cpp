// SPDX-License-Identifier: BSL-1.0
#include "heddle/recursive_mutex.hpp"

#include <cstdlib>
#include <system_error>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle {

void recursive_mutex::too_deep() {
  detail::on_home_stack([] {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            "heddle: recursive_mutex locked too often by its owner");
  });
  std::abort();  // not reached
}

void recursive_mutex::not_owner(const char* kind) const noexcept {
  detail::misuse(kind, this,
                 owner_.load(std::memory_order_relaxed) != nullptr
                     ? "unlock() by one who does not own it; only the owner may unlock it"
                     : "unlock() of a mutex that is not locked; unlock only what you have locked");
}

void recursive_mutex::destroyed_in_use(const char* kind) const noexcept {
  detail::destroyed_in_use(kind, this, "destroyed while locked; unlock it first");
}

}  // namespace heddle
