// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cctype>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "heddle/gc.hpp"

namespace examples {

/// A value of a JSON document, which knows what it is in.
///
///     gc::ptr<examples::json> d = examples::parse_json(R"({"users": [{"name": "ada"}]})");
///     gc::ptr<examples::json> name = d->at("users")->at(0)->at("name");
///     std::cout << name->path();                    // /users/0/name
///     gc::ptr<examples::json> kept = name->parent;  // the user; keeps all of the document by its own parent ...
///     kept->detach();                               // ... and now only what is below it
///
/// Children point to their parent and parents to their children: with counted pointers one of the two would have to be
/// weak, and a value would not keep what it is in. Text without escapes is a part of the text that was parsed, not a
/// copy.
struct json {
  enum class kind : unsigned char { null, boolean, number, text, array, object };

  kind is = kind::null;
  double number = 0;  ///< of a boolean: 0 or 1
  heddle::gc::string text;
  heddle::gc::string name;                             ///< in the object that it is a member of
  heddle::gc::vector<heddle::gc::ptr<json>> children;  ///< elements or members, in order
  heddle::gc::ptr<json> parent;

  /// Null if there is none. O(children).
  heddle::gc::ptr<json> at(std::string_view member) const {
    for (const heddle::gc::ptr<json>& child : children)
      if (child->name == member) return child;
    return nullptr;
  }
  heddle::gc::ptr<json> at(std::size_t index) const { return index < children.size() ? children[index] : nullptr; }

  void append(const heddle::gc::ptr<json>& child) {
    children.push_back(child);
    child->parent = this;
  }
  /// Takes it out of what it is in.
  void detach() {
    if (parent == nullptr) return;
    erase_if(parent->children, [this](const heddle::gc::ptr<json>& child) { return child == this; });
    parent = nullptr;
  }
  /// As RFC 6901 has it, without its escapes.
  std::string path() const {
    if (parent == nullptr) return {};
    if (parent->is == kind::object) return parent->path() + "/" + std::string(name.view());
    std::size_t index = 0;
    while (parent->children[index] != this) ++index;
    return parent->path() + "/" + std::to_string(index);
  }
};

/// Reads one value. Numbers and texts as far as the standard's grammar; of the escapes those of one letter.
class json_parser {
 public:
  explicit json_parser(heddle::gc::string all) : all_(std::move(all)) {}

  /// Throws std::invalid_argument, which tells the place.
  heddle::gc::ptr<json> parse() {
    const heddle::gc::ptr<json> value = read_value();
    skip_blanks();
    if (at_ != all_.size()) fail("the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    throw std::invalid_argument("JSON: expected " + std::string(expected) + " at character " + std::to_string(at_));
  }
  char peek() const { return at_ < all_.size() ? all_[at_] : '\0'; }
  void skip_blanks() {
    while (std::isspace(static_cast<unsigned char>(peek())) != 0) ++at_;
  }
  bool take(std::string_view word) {
    skip_blanks();
    if (!all_.view().substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  heddle::gc::ptr<json> read_value() {
    using enum json::kind;
    const heddle::gc::ptr<json> value = heddle::gc::make<json>();
    if (take("{")) {
      read_children(*value, object, "}");
    } else if (take("[")) {
      read_children(*value, array, "]");
    } else if (take("\"")) {
      value->is = text;
      value->text = read_text();
    } else if (take("true")) {
      value->is = boolean;
      value->number = 1;
    } else if (take("false")) {
      value->is = boolean;
    } else if (!take("null")) {
      read_number(*value);
    }
    return value;
  }
  void read_children(json& in, json::kind is, std::string_view end) {
    in.is = is;
    if (take(end)) return;
    do {
      heddle::gc::string name;
      if (is == json::kind::object) {
        if (!take("\"")) fail("a name");
        name = read_text();
        if (!take(":")) fail("':'");
      }
      const heddle::gc::ptr<json> child = read_value();
      child->name = name;
      in.append(child);
    } while (take(","));
    if (!take(end)) fail(end == "]" ? "']'" : "'}'");
  }
  void read_number(json& value) {
    value.is = json::kind::number;
    const auto [end, error] = std::from_chars(all_.begin() + at_, all_.end(), value.number);
    if (error != std::errc()) fail("a value");
    at_ = static_cast<std::size_t>(end - all_.begin());
  }
  heddle::gc::string read_text() {
    const std::size_t end = all_.view().find_first_of("\"\\", at_);
    if (end == std::string_view::npos) fail("'\"'");
    if (all_[end] == '"') {
      const std::size_t from = std::exchange(at_, end + 1);
      return all_.substr(from, end - from);
    }
    return read_escaped();
  }
  heddle::gc::string read_escaped() {
    constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    std::string out;
    for (; peek() != '"'; ++at_) {
      if (at_ >= all_.size()) fail("'\"'");
      if (peek() != '\\') {
        out += peek();
        continue;
      }
      ++at_;
      const std::size_t which = letters.find(peek());
      if (which == std::string_view::npos) fail("an escape");
      out += meanings[which];
    }
    ++at_;
    return out;
  }

  heddle::gc::string all_;
  std::size_t at_ = 0;
};

inline heddle::gc::ptr<json> parse_json(const heddle::gc::string& text) { return json_parser(text).parse(); }

}  // namespace examples
