// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/mman.h>

#include <boost/test/unit_test.hpp>
#include <utility>

namespace heddle::testing {

/// A page that something else has mapped.
class obstacle {
 public:
  explicit obstacle(void* at)
      : at_(::mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)) {
    BOOST_REQUIRE(at_ == at);
  }
  ~obstacle() {
    if (at_ != nullptr) ::munmap(at_, 4096);
  }
  obstacle(obstacle&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  obstacle& operator=(obstacle&&) = delete;

 private:
  void* at_;
};

}  // namespace heddle::testing
