// SPDX-License-Identifier: BSL-1.0
//
// Streams with a buffer, and lines.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>

#include "heddle/io/buffered_reader.hpp"
#include "heddle/io/buffered_writer.hpp"

namespace heddle::io {

/// The lines that are still to come, each read when the loop asks for it. See lines().
template <byte_source S>
class line_range {
 public:
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string_view*;
    using reference = std::string_view;

    iterator() noexcept = default;
    std::string_view operator*() const noexcept { return *line_; }
    iterator& operator++() {
      line_ = range_->reader_->read_line(range_->most_, range_->limits_);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept { return !i.line_; }

   private:
    friend class line_range;
    explicit iterator(const line_range* range) : range_(range) { ++*this; }

    const line_range* range_ = nullptr;
    std::optional<std::string_view> line_;
  };

  line_range(buffered_reader<S>& reader, std::size_t most, const limits& l) noexcept
      : reader_(&reader), most_(most), limits_(l) {}
  /// Reads the next line; to be called once.
  iterator begin() const { return iterator(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  buffered_reader<S>* reader_;
  std::size_t most_;
  limits limits_;
};

/// For loops over lines, each without its end and valid until the next:
///
///     for (std::string_view line : io::lines(reader)) count(line);
///
/// The loop ends with the stream. It throws io::error: for a line of more than `most` bytes, of the stream, and when
/// the limits are over, which hold for the whole loop (the read deadline of the stream is one for each line).
template <byte_source S>
line_range<S> lines(buffered_reader<S>& reader, std::size_t most = buffered_reader<S>::longest_line,
                    const limits& l = {}) noexcept {
  return {reader, most, l};
}

}  // namespace heddle::io
