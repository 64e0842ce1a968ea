// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "heddle/gc/layout.hpp"
#include "heddle/gc/make.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

class string;

namespace detail {
template <class T>
concept other_text = std::is_convertible_v<const T&, std::string_view> && !std::is_same_v<T, string>;
}

/// Text in memory of the collector that never changes, so that copies and parts share it.
///
///     gc::string path = "/usr/include/heddle";
///     gc::string name = path.substr(path.view().rfind('/') + 1);   // no copy: points into the path's text
///     gc::string file = name + ".hpp";                            // a new text
///
/// 16 bytes: an address and a length. A copy costs as much as that of a gc::ptr, and two threads may read one text. It
/// may be where a gc::ptr may be (see there). It converts to std::string_view, which has all that looks for something;
/// the view keeps the text alive while it is on a stack.
///
/// Unlike std::string it is assigned as a whole only, and is not ended by a zero: a part ends in the middle. A part
/// keeps the whole text that it comes from; copy() makes one that does not. For text that grows there is std::string,
/// or gc::vector<char>.
///
/// In the destructor of an object that the collector has found dead it may be empty: the text has died, too.
///
/// A text is made in O(length), which throws std::bad_alloc; all else is O(1) and throws nothing unless it says so.
/// From fibers and plain threads. Source: Go's string.
class string {
 public:
  using value_type = char;
  using size_type = std::size_t;
  using const_iterator = const char*;
  using iterator = const_iterator;
  static constexpr size_type npos = std::string_view::npos;

  /// Empty.
  constexpr string() noexcept = default;
  string(std::string_view text) : string(joined({text})) {}
  string(const char* text) : string(std::string_view(text)) {}
  string(const std::string& text) : string(std::string_view(text)) {}
  /// The parts one after the other, in one text.
  static string joined(std::initializer_list<std::string_view> parts) {
    size_type length = 0;
    for (const std::string_view part : parts) length += part.size();
    string whole;
    if (length == 0) return whole;
    const ptr<char[]> text = make_array_for_overwrite<char>(length);
    char* to = text.get();
    for (const std::string_view part : parts) to += part.copy(to, part.size());
    whole.text_ = text.get();
    whole.size_ = length;
    return whole;
  }
  string(const string&) noexcept = default;
  string(string&& other) noexcept : text_(std::move(other.text_)), size_(std::exchange(other.size_, 0)) {}
  constexpr ~string() = default;
  string& operator=(const string&) noexcept = default;
  string& operator=(string&& other) noexcept {
    size_ = std::exchange(other.size_, 0);
    text_ = std::move(other.text_);
    return *this;
  }

  std::string_view view() const noexcept { return {text_.get(), size()}; }
  operator std::string_view() const noexcept { return view(); }
  const char* data() const noexcept { return text_; }
  size_type size() const noexcept { return text_ == nullptr ? 0 : size_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  const_iterator begin() const noexcept { return text_; }
  const_iterator end() const noexcept { return text_ + size(); }
  /// The i-th character. i is not checked.
  char operator[](size_type i) const noexcept { return text_[i]; }

  /// The part of at most n characters from `from` on; shares the text. Throws std::out_of_range if from > size().
  string substr(size_type from, size_type n = npos) const {
    const std::string_view part = view().substr(from, n);
    string shared;
    if (!part.empty()) shared.text_ = part.data();
    shared.size_ = part.size();
    return shared;
  }
  /// A text of its own.
  string copy() const { return string(view()); }

  void swap(string& other) noexcept {
    text_.swap(other.text_);
    std::swap(size_, other.size_);
  }
  friend void swap(string& a, string& b) noexcept { a.swap(b); }

  friend string operator+(const string& a, const string& b) { return joined({a.view(), b.view()}); }
  template <detail::other_text Text>
  friend string operator+(const string& a, const Text& b) {
    return joined({a.view(), std::string_view(b)});
  }
  template <detail::other_text Text>
  friend string operator+(const Text& a, const string& b) {
    return joined({std::string_view(a), b.view()});
  }
  string& operator+=(std::string_view more) { return *this = *this + more; }

  friend bool operator==(const string& a, const string& b) noexcept { return a.view() == b.view(); }
  friend std::strong_ordering operator<=>(const string& a, const string& b) noexcept { return a.view() <=> b.view(); }
  template <detail::other_text Text>
  friend bool operator==(const string& a, const Text& b) noexcept {
    return a.view() == std::string_view(b);
  }
  template <detail::other_text Text>
  friend std::strong_ordering operator<=>(const string& a, const Text& b) noexcept {
    return a.view() <=> std::string_view(b);
  }
  friend std::ostream& operator<<(std::ostream& out, const string& s) { return out << s.view(); }

 private:
  ptr<const char> text_;
  size_type size_ = 0;
};

template <>
struct trace<string> {
  using laid_out_as = detail::types<ptr<void>, std::size_t>;
  static constexpr bool silent = true;
};

}  // namespace heddle::gc

/// As that of a std::string_view with the same characters.
template <>
struct std::hash<heddle::gc::string> {
  std::size_t operator()(const heddle::gc::string& s) const noexcept { return std::hash<std::string_view>()(s.view()); }
};
