// SPDX-License-Identifier: BSL-1.0
//
// Commands to Redis, and its replies.
#pragma once

#include <hiredis/hiredis.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace examples::redis {

/// The error that Redis answered instead of a value: "ERR unknown command 'NONSENSE', ...".
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// No answer has come: the time is over, or the connection is lost. Nobody repeats the command but the caller.
class no_answer : public std::runtime_error {
 public:
  no_answer(const std::string& what, bool sent) : std::runtime_error(what), maybe_done_(sent) {}
  /// Whether Redis may have carried the command out. False: it was never sent.
  bool maybe_done() const noexcept { return maybe_done_; }

 private:
  bool maybe_done_;
};

/// A part of a reply, which belongs to the reply.
class value {
 public:
  explicit value(const redisReply* r) noexcept : r_(r) {}

  bool is_nil() const noexcept { return r_->type == REDIS_REPLY_NIL; }
  bool is_error() const noexcept { return r_->type == REDIS_REPLY_ERROR; }
  bool is_integer() const noexcept { return r_->type == REDIS_REPLY_INTEGER; }
  /// REDIS_REPLY_STRING and so on, also those of RESP3 that the installed hiredis knows.
  int type() const noexcept { return r_->type; }
  /// Of strings, states and errors; empty for all others.
  std::string_view text() const noexcept { return r_->str != nullptr ? std::string_view(r_->str, r_->len) : ""; }
  /// Throws std::logic_error if it is none.
  long long integer() const {
    if (!is_integer()) throw std::logic_error("redis: not an integer: " + std::string(text()));
    return r_->integer;
  }
  /// Of booleans, which only RESP3 has, and of integers, which stand for them in RESP2. Throws as integer().
  bool boolean() const {
#ifdef REDIS_REPLY_BOOL
    if (type() == REDIS_REPLY_BOOL) return r_->integer != 0;
#endif
    return integer() != 0;
  }
  /// Of doubles of RESP3, of strings that are numbers, as RESP2 has them ("1.5", "inf"), and of integers. Throws
  /// std::logic_error if it is none.
  double number() const {
    if (is_integer()) return static_cast<double>(r_->integer);
    const std::string digits(text());
    char* end = nullptr;
    const double d = std::strtod(digits.c_str(), &end);
    if (digits.empty() || *end != 0) throw std::logic_error("redis: not a number: " + digits);
    return d;
  }
  /// False for what RESP3 has between the answers: pushes, and attributes of the answer that follows.
  bool is_answer() const noexcept {
#ifdef REDIS_REPLY_PUSH
    if (type() == REDIS_REPLY_PUSH) return false;
#endif
#ifdef REDIS_REPLY_ATTR
    if (type() == REDIS_REPLY_ATTR) return false;
#endif
    return true;
  }
  /// Of arrays and pushes, and in RESP3 sets and maps (two for each entry); 0 for all others.
  std::size_t size() const noexcept { return r_->element != nullptr ? r_->elements : 0; }
  /// i must be below size().
  value operator[](std::size_t i) const noexcept { return value(r_->element[i]); }

 private:
  const redisReply* r_;
};

/// A whole one.
class reply : public value {
 public:
  /// Takes what hiredis has made.
  explicit reply(redisReply* r) noexcept : value(r), owned_(r) {}

 private:
  struct freeing {
    void operator()(redisReply* r) const noexcept { freeReplyObject(r); }
  };
  std::unique_ptr<redisReply, freeing> owned_;
};

/// Adds a command in the form in which Redis reads it: words of any bytes.
inline void append_command(std::string& to, std::span<const std::string_view> words) {
  const auto number = [&to](char kind, std::size_t n) {
    to += kind;
    to += std::to_string(n);
    to += "\r\n";
  };
  number('*', words.size());
  for (const std::string_view word : words) {
    number('$', word.size());
    to += word;
    to += "\r\n";
  }
}

}  // namespace examples::redis
