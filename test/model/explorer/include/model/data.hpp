// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include "model/access_history.hpp"

namespace model {

/// A plain variable whose accesses must be ordered by happens-before: a race, or a read of it
/// before any write, fails the execution. Accesses are no scheduling points, since any order of a
/// race is found.
template <class T>
class data {
 public:
  data() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a drop-in for T
  data(T value) : value_(std::move(value)) { history_.write(this); }
  data(const data& other) : data(other.get()) {}
  data& operator=(const data& other) {
    set(other.get());
    return *this;
  }
  data& operator=(T value) {
    set(std::move(value));
    return *this;
  }
  operator T() const { return get(); }  // NOLINT(google-explicit-constructor): a drop-in for T

  T get() const {
    history_.read(this);
    return value_;
  }
  void set(T value) {
    history_.write(this);
    value_ = std::move(value);
  }

 private:
  T value_{};
  mutable detail::access_history history_;
};

}  // namespace model
