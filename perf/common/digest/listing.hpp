// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "common/digest/sha256.hpp"

namespace perf::digest {

/// One line to be: a file and its sum.
struct entry {
  std::string path;
  sum hash;
  bool operator<(const entry& other) const { return path < other.path; }  // by bytes, as sort does with LC_ALL=C
};

/// Appends the line that sha256sum prints. A backslash before the sum says that the path has escapes in it.
inline void append_line(std::string& text, const entry& file) {
  static constexpr char digits[] = "0123456789abcdef";
  const bool escaped = file.path.find_first_of("\\\n\r") != std::string::npos;
  if (escaped) text += '\\';
  for (const unsigned char byte : file.hash) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  text += "  ";
  for (const char c : file.path) {
    switch (escaped ? c : ' ') {
      case '\\': text += "\\\\"; break;
      case '\n': text += "\\n"; break;
      case '\r': text += "\\r"; break;
      default: text += c;
    }
  }
  text += '\n';
}

inline void write_all(int descriptor, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(descriptor, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    require(n > 0, "cannot write the result");
    done += static_cast<std::size_t>(n);
  }
}

/// Merges lists that are sorted each and prints them a block at a time: the whole text need never exist.
inline void print_merged(std::vector<std::vector<entry>> lists) {
  struct cursor {
    const entry* next;
    const entry* end;
    bool operator<(const cursor& other) const { return *other.next < *next; }  // the heap's top is the smallest
  };
  std::vector<cursor> heap;
  for (const auto& list : lists) {
    if (!list.empty()) heap.push_back({list.data(), list.data() + list.size()});
  }
  std::make_heap(heap.begin(), heap.end());
  constexpr std::size_t block = 256 * 1024;
  std::string text;
  text.reserve(block + 8192);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    append_line(text, *heap.back().next++);
    if (heap.back().next == heap.back().end) {
      heap.pop_back();
    } else {
      std::push_heap(heap.begin(), heap.end());
    }
    if (text.size() >= block) {
      write_all(STDOUT_FILENO, text);
      text.clear();
    }
  }
  write_all(STDOUT_FILENO, text);
}

}  // namespace perf::digest
