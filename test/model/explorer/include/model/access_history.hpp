// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace model {

namespace detail {
/// Who wrote last and who has read since: enough to tell whether an access is ordered after them.
/// Source: C. Flanagan, S. Freund, "FastTrack", PLDI 2009, without its read epochs.
class access_history {
 public:
  static constexpr unsigned max_threads = 16;
  void write(const void* object) noexcept;
  /// Whether what was written before the execution is there to be read.
  enum class from_before : bool { counts = true, is_missing = false };
  void read(const void* object, from_before earlier = from_before::is_missing) noexcept;

 private:
  std::int32_t written_at_ = 0;
  std::uint32_t writer_ = 0;
  std::int32_t read_at_[max_threads] = {};
  std::uint32_t execution_ = 0;
  bool initialised_ = false;
};
}  // namespace detail

}  // namespace model
