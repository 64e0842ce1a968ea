// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/option_list.hpp"

#include <unistd.h>

#include <algorithm>

#include "text_writer.hpp"

namespace heddle::detail {
namespace {

constexpr std::uint64_t us = 1000, ms = 1000 * us, second = 1000 * ms, minute = 60 * second;
constexpr std::uint64_t longest_duration = std::numeric_limits<std::int64_t>::max();

/// For "%.*s": of what a user has written, that may be long, the beginning.
int length(std::string_view t) noexcept { return static_cast<int>(std::min<std::size_t>(t.size(), 120)); }

// string_view::substr() may throw, and so refers to the C++ library, which the shim does without.
std::string_view first_of(std::string_view t, std::size_t n) noexcept { return {t.data(), n}; }

std::string_view trimmed(std::string_view t) noexcept {
  constexpr std::string_view spaces = " \t\r\n";
  const std::size_t first = std::min(t.find_first_not_of(spaces), t.size());
  t.remove_prefix(first);
  return first_of(t, t.find_last_not_of(spaces) + 1);
}

/// The digits at the beginning of `text`, which are taken off. False: there are none, or too many.
bool take_digits(std::string_view& text, std::uint64_t& to) noexcept {
  std::size_t n = 0;
  to = 0;
  for (; n != text.size() && text[n] >= '0' && text[n] <= '9'; ++n) {
    const auto digit = static_cast<std::uint64_t>(text[n] - '0');
    if (to > (option_key::any - digit) / 10) return false;
    to = to * 10 + digit;
  }
  text.remove_prefix(n);
  return n != 0;
}

struct suffix {
  std::string_view text;
  std::uint64_t factor;
};
constexpr suffix of_bytes[] = {{"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}};
constexpr suffix of_durations[] = {{"ns", 1}, {"us", us}, {"ms", ms}, {"s", second}, {"min", minute}};

/// K, KB or KiB and so on, in any case.
bool read_factor_of_bytes(std::string_view text, std::uint64_t& to) noexcept {
  const auto is = [](char c, char upper) { return c == upper || c == upper + ('a' - 'A'); };
  if (!text.empty() && is(text.back(), 'B')) {
    text.remove_suffix(1);
    if (text.size() == 2 && text[1] == 'i') text.remove_suffix(1);
  }
  if (text.empty()) return to = 1, true;
  for (const suffix& s : of_bytes)
    if (text.size() == 1 && is(text[0], s.text[0])) return to = s.factor, true;
  return false;
}

bool read_factor_of_duration(std::string_view text, std::uint64_t unit, std::uint64_t& to) noexcept {
  if (text.empty()) return to = unit, true;
  for (const suffix& s : of_durations)
    if (text == s.text) return to = s.factor, true;
  return false;
}

/// A number with perhaps something behind it.
bool read_number(const option_key& key, std::string_view text, std::uint64_t& to) noexcept {
  std::uint64_t digits = 0, factor = 1;
  if (!take_digits(text, digits)) return false;
  text = trimmed(text);
  if (key.form == option_form::bytes      ? !read_factor_of_bytes(text, factor)
      : key.form == option_form::duration ? !read_factor_of_duration(text, key.unit, factor)
                                          : !text.empty())
    return false;
  if (digits > option_key::any / factor) return false;
  to = digits * factor;
  if (key.form == option_form::duration && to > longest_duration) return false;
  return to >= key.least && to <= key.most;
}

bool read_on_off(std::string_view text, std::uint64_t& to) noexcept {
  constexpr std::string_view yes[] = {"on", "yes", "true", "1"}, no[] = {"off", "no", "false", "0"};
  to = std::find(std::begin(yes), std::end(yes), text) != std::end(yes);
  return to == 1 || std::find(std::begin(no), std::end(no), text) != std::end(no);
}

/// Which of the words parted by | the text is.
bool read_word(std::string_view words, std::string_view text, std::uint64_t& to) noexcept {
  for (to = 0; !words.empty(); ++to) {
    const std::size_t end = std::min(words.find('|'), words.size());
    if (first_of(words, end) == text) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

bool read_value(const option_key& key, std::string_view text, bool is_given, option_value& to) noexcept {
  to.text = text;
  if (!is_given) return to.number = 1, key.form == option_form::on_off;
  switch (key.form) {
    case option_form::on_off: return read_on_off(text, to.number);
    case option_form::word: return read_word(key.words, text, to.number);
    case option_form::text: return !text.empty() && text.size() >= key.least && text.size() <= key.most;
    default: return read_number(key, text, to.number);
  }
}

// ---- The words about a key ------------------------------------------------------------------------------------------

/// A number in the largest unit of which it is a multiple.
template <std::size_t N>
void add_multiple(text_writer& to, std::uint64_t number, const suffix (&units)[N]) noexcept {
  const suffix* best = nullptr;
  for (const suffix& s : units)
    if (number != 0 && number % s.factor == 0) best = &s;
  const auto whole = static_cast<unsigned long long>(best != nullptr ? number / best->factor : number);
  to.add("%llu%.*s", whole, best != nullptr ? length(best->text) : 0, best != nullptr ? best->text.data() : "");
}

void add_number(text_writer& to, const option_key& key, std::uint64_t number) noexcept {
  if (key.form == option_form::bytes) return add_multiple(to, number, of_bytes);
  if (key.form == option_form::duration) return add_multiple(to, number, of_durations);
  to.add("%llu", static_cast<unsigned long long>(number));
}

void add_range(text_writer& to, const option_key& key) noexcept {
  if (key.least == 0 && key.most == option_key::any) {
    to.add("a number");
  } else {
    add_number(to, key, key.least);
    if (key.most == option_key::any) {
      to.add(" or more");
    } else {
      to.add(" to ");
      add_number(to, key, key.most);
    }
  }
  if (key.form == option_form::bytes) to.add(", in bytes or with K, M, G");
  if (key.form != option_form::duration) return;
  to.add(", with ns, us, ms, s, min, or in ");
  for (const suffix& s : of_durations)
    if (s.factor == key.unit) to.add("%.*s", length(s.text), s.text.data());
}

void add_allowed(text_writer& to, const option_key& key) noexcept {
  switch (key.form) {
    case option_form::on_off: return to.add("on or off");
    case option_form::word: return to.add("%.*s", length(key.words), key.words.data());
    case option_form::text:
      return key.most == option_key::any
                 ? to.add("text without a comma")
                 : to.add("text without a comma, at most %llu characters", static_cast<unsigned long long>(key.most));
    default: return add_range(to, key);
  }
}

class list_reader {
 public:
  list_reader(std::string_view variable, std::span<const option_key> keys) noexcept
      : variable_(variable), keys_(keys), out_(write_to_descriptor, &stderr_) {}

  /// `help` or an option; false: a fault, which has been said.
  template <class Set>
  bool read(std::string_view item, Set set) noexcept {
    const std::size_t equals = std::min(item.find('='), item.size());
    const bool is_given = equals != item.size();
    const std::string_view name = trimmed(first_of(item, equals));
    if (name == "help" && !is_given) return print_help(), true;
    const auto* const key = std::find_if(keys_.data(), keys_.data() + keys_.size(), [&](const option_key& k) {
      return name == k.name || (!k.also.empty() && name == k.also);
    });
    if (key == keys_.data() + keys_.size()) return say_unknown(name), false;
    item.remove_prefix(std::min(equals + 1, item.size()));
    const std::string_view text = trimmed(item);
    option_value value;
    if (!read_value(*key, text, is_given, value)) return say_bad(*key, name, text), false;
    set(static_cast<std::size_t>(key - keys_.data()), value);
    return true;
  }

 private:
  void begin_line() noexcept { out_.add("heddle: %.*s: ", length(variable_), variable_.data()); }
  void end_line() noexcept {
    out_.add("\n");
    out_.flush();
  }

  void say_unknown(std::string_view name) noexcept {
    begin_line();
    out_.add("unknown key \"%.*s\" (known: ", length(name), name.data());
    for (const option_key& k : keys_) out_.add("%.*s, ", length(k.name), k.name.data());
    out_.add("help)");
    end_line();
  }

  void say_bad(const option_key& key, std::string_view name, std::string_view text) noexcept {
    begin_line();
    out_.add("bad value \"%.*s\" for %.*s (", length(text), text.data(), length(name), name.data());
    add_allowed(out_, key);
    out_.add(")");
    end_line();
  }

  void print_help() noexcept {
    begin_line();
    out_.add("options, NAME=VALUE, with commas between them\n");
    for (const option_key& k : keys_) {
      out_.add("  %.*s", length(k.name), k.name.data());
      if (!k.also.empty()) out_.add(" (or %.*s)", length(k.also), k.also.data());
      out_.add(": %.*s\n      ", length(k.meaning), k.meaning.data());
      add_allowed(out_, k);
      if (!k.default_value.empty()) out_.add("; default %.*s", length(k.default_value), k.default_value.data());
      out_.add("\n");
    }
    out_.flush();
  }

  int stderr_ = STDERR_FILENO;
  std::string_view variable_;
  std::span<const option_key> keys_;
  text_writer out_;
};

}  // namespace

unsigned read_option_list(std::string_view variable, std::string_view text, std::span<const option_key> keys,
                          void (*set)(void* to, std::size_t key, const option_value& value), void* to) noexcept {
  list_reader reader(variable, keys);
  unsigned faults = 0;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = trimmed(first_of(text, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (!item.empty())
      faults += !reader.read(item, [&](std::size_t key, const option_value& value) { set(to, key, value); });
  }
  return faults;
}

}  // namespace heddle::detail
