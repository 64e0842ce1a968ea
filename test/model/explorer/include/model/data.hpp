// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <utility>

namespace model {

namespace detail {
/// Who wrote last and who has read since: enough to tell whether an access is ordered after them.
/// Source: C. Flanagan, S. Freund, "FastTrack", PLDI 2009, without its read epochs.
class access_history {
 public:
  static constexpr unsigned max_threads = 16;
  void write(const void* object) noexcept;
  void read(const void* object) noexcept;

 private:
  std::int32_t written_at_ = 0;
  std::uint32_t writer_ = 0;
  std::int32_t read_at_[max_threads] = {};
  std::uint32_t execution_ = 0;
  bool initialised_ = false;
};
}  // namespace detail

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
