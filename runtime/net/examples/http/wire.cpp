// SPDX-License-Identifier: BSL-1.0
#include "wire.hpp"

#include <algorithm>
#include <ctime>

namespace examples::http {

time_point tick() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);  // steady_clock's in libstdc++
  return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

bool is_timeout(const std::system_error& error) noexcept { return error.code() == std::errc::timed_out; }

std::size_t wire::read() {
  const std::size_t got = transport_.read_some(area_->input.room());
  area_->input.add(got);
  return got;
}

std::size_t wire::read_before(time_point deadline) {
  for (;;) {
    try {
      transport_.set_read_deadline(deadline);
      return read();
    } catch (const std::system_error& error) {
      if (!is_timeout(error) || std::chrono::steady_clock::now() >= deadline) throw;
    }
  }
}

std::chrono::milliseconds wire::time_for(std::uint64_t bytes) const noexcept {
  // A day at most, far from where clocks overflow.
  const std::uint64_t seconds = std::min<std::uint64_t>(bytes / std::max<std::uint64_t>(limits_.least_rate, 1), 86'400);
  return limits_.transfer_time + std::chrono::seconds(seconds);
}

void wire::begin_writing(std::uint64_t bytes) { transport_.set_write_deadline(tick() + time_for(bytes)); }

void wire::write(std::span<const std::byte> bytes) {
  begin_writing(bytes.size());
  transport_.write(bytes);
}

void wire::write(std::span<const iovec> pieces) {
  std::uint64_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  begin_writing(bytes);
  transport_.write(pieces);
}

void wire::send_file(int file, off_t offset, std::size_t size) {
  begin_writing(size);
  transport_.send_file(file, offset, size);
}

void wire::hang_up() {
  transport_.shutdown_write();
  area_->input.clear();
  const time_point end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (std::size_t total = 0; total < limits_.discarded;) {
    const std::size_t got = read_before(end);
    if (got == 0) return;
    area_->input.clear();
    total += got;
  }
}

}  // namespace examples::http
