// SPDX-License-Identifier: BSL-1.0
//
// The calls that a TLS stream makes to the stream beneath it, whatever its type.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "heddle/detail/config.hpp"
#include "heddle/io/byte_streams.hpp"

namespace heddle::net::tls::detail {

using time_point = std::chrono::steady_clock::time_point;

/// A connection of heddle's: a tcp_stream, a unix_stream, a memory_stream.
template <class S>
concept connection = std::movable<S> && io::waiting_source<S> &&
    requires(S& s, std::span<const std::byte> from, const io::limits& l, std::error_code& ec, time_point t) {
  { s.write_some(from, l, ec) } -> std::convertible_to<std::size_t>;
  s.wait_writable(l, ec);
  s.set_read_deadline(t);
  s.set_write_deadline(t);
  { s.is_open() } -> std::convertible_to<bool>;
  { s.name() } -> std::convertible_to<std::string>;
  s.close();
};

/// The calls are those of io::stream.
class HEDDLE_EXPORT transport {
 public:
  transport() = default;
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  virtual ~transport();

  virtual std::size_t read_some(std::span<std::byte> to, const io::limits& l, std::error_code& ec) noexcept = 0;
  virtual std::size_t write_some(std::span<const std::byte> from, const io::limits& l,
                                 std::error_code& ec) noexcept = 0;
  virtual void wait_readable(const io::limits& l, std::error_code& ec) noexcept = 0;
  virtual void wait_writable(const io::limits& l, std::error_code& ec) noexcept = 0;
  virtual void set_read_deadline(time_point t) noexcept = 0;
  virtual void set_write_deadline(time_point t) noexcept = 0;
  virtual bool is_open() const noexcept = 0;
  virtual int native_handle() const noexcept = 0;
  virtual std::string name() const = 0;
  virtual void close() noexcept = 0;
};

template <connection S>
class transport_over final : public transport {
 public:
  explicit transport_over(S&& s) : lower_(std::move(s)) {}

  std::size_t read_some(std::span<std::byte> to, const io::limits& l, std::error_code& ec) noexcept override {
    return lower_.read_some(to, l, ec);
  }
  std::size_t write_some(std::span<const std::byte> from, const io::limits& l, std::error_code& ec) noexcept override {
    return lower_.write_some(from, l, ec);
  }
  void wait_readable(const io::limits& l, std::error_code& ec) noexcept override { lower_.wait_readable(l, ec); }
  void wait_writable(const io::limits& l, std::error_code& ec) noexcept override { lower_.wait_writable(l, ec); }
  void set_read_deadline(time_point t) noexcept override { lower_.set_read_deadline(t); }
  void set_write_deadline(time_point t) noexcept override { lower_.set_write_deadline(t); }
  bool is_open() const noexcept override { return lower_.is_open(); }
  int native_handle() const noexcept override {
    if constexpr (requires { lower_.native_handle(); })
      return lower_.native_handle();
    else
      return -1;
  }
  std::string name() const override { return lower_.name(); }
  void close() noexcept override { lower_.close(); }

 private:
  S lower_;
};

}  // namespace heddle::net::tls::detail
