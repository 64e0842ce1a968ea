// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <system_error>

#include "limits.hpp"
#include "stream.hpp"
#include "work_area.hpp"

namespace examples::http {

/// Thrown where a request is not understood, or asks for too much: the status of the answer.
struct refusal {
  unsigned status;
};

/// A connection with its memory and its clocks, as requests and answers use it.
class wire {
 public:
  wire(transport& t, const limits& l) : transport_(t), limits_(l) {}

  const limits& bounds() const noexcept { return limits_; }
  work_area& area() noexcept { return *area_; }
  void begin() {
    if (!area_) area_ = work_area::take();
  }
  /// Bytes that were read and not used are lost.
  void rest() noexcept {
    if (area_) work_area::give_back(std::move(area_));
  }

  /// Reads more into the window, which must have room. 0: the peer sends no more. Without a deadline the one that was
  /// set before holds. With one, a wake for another reason (the server is to end) is none of ours.
  std::size_t read();
  std::size_t read_before(time_point deadline);

  /// Each has the time that limits::transfer_time and least_rate give.
  void write(std::span<const std::byte> bytes);
  void write(std::span<const iovec> pieces);
  void send_file(int file, off_t offset, std::size_t size);

  /// How long so many bytes may take.
  std::chrono::milliseconds time_for(std::uint64_t bytes) const noexcept;

  /// Tells the peer that nothing more comes. Unless the connection rests, reads what it still sends, for a second and
  /// no more than `discarded` bytes: to close a connection with something unread would take back the last answer, too.
  void hang_up();

 private:
  void begin_writing(std::uint64_t bytes);

  transport& transport_;
  const limits& limits_;
  std::unique_ptr<work_area> area_;
};

/// The time in the steps of the kernel's ticks, 1 to 10 ms: for deadlines, without a look at the hardware.
time_point tick() noexcept;

/// Whether it says that a deadline has passed.
bool is_timeout(const std::system_error& error) noexcept;

}  // namespace examples::http
