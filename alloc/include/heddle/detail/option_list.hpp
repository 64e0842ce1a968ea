// SPDX-License-Identifier: BSL-1.0
//
// The options of an environment variable, NAME=VALUE,NAME,...: one way to write them, for HEDDLE, HEDDLE_MALLOC,
// HEDDLE_GC and HEDDLE_NET. Each of these has a table of its keys; this reads a text by such a table.
//
// Commas part options. Spaces around a name and around a value mean nothing, nor do empty options. `help` prints the
// table. A fault is said on stderr, with the name of the variable and of the key; it changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// How a value is written.
enum class option_form : std::uint8_t {
  number,    ///< 123
  bytes,     ///< 4096, or with K, M or G: powers of 1024; B or iB may follow
  duration,  ///< 20ms; with ns, us, ms, s or min; without, in the unit of the key. Not beyond 292 years
  on_off,    ///< on, yes, true, 1; off, no, false, 0; the name alone is `on`
  word,      ///< one of those that the key lists
  text,      ///< anything that is not empty
};

/// One option, but for where its value goes.
struct option_key {
  static constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();

  std::string_view name{};                 ///< as the option is called in code
  std::string_view also{};                 ///< another name for it; empty: none
  option_form form = option_form::number;  ///< of the value
  std::uint64_t least = 0;                 ///< of a number, bytes, or a duration in ns; of a text: characters
  std::uint64_t most = any;                ///< the same
  std::uint64_t unit = 1;                  ///< of a duration without a unit, in ns
  std::string_view words{};                ///< of form `word`, parted by |
  std::string_view default_value{};        ///< for help; empty: `off`, or as the meaning says
  std::string_view meaning{};              ///< for help, one line
};

/// The value of an option.
struct option_value {
  std::uint64_t number = 0;  ///< a number, bytes, ns, 0 or 1, or which of the words
  std::string_view text;     ///< as it was written
};

/// Reads `text` by the table: calls set(to, index of the key, value) for each option, in their order.
/// Allocates nothing and takes no lock, so it serves within malloc and before the constructors of static objects; errno
/// may change. From any thread. O(length of text times keys).
/// \return how many faults it has said
HEDDLE_EXPORT unsigned read_option_list(std::string_view variable, std::string_view text,
                                        std::span<const option_key> keys,
                                        void (*set)(void* to, std::size_t key, const option_value& value),
                                        void* to) noexcept;

/// One option together with where its value goes, for tables of `Options`.
template <class Options>
struct option_entry {
  option_key key;
  void (*set)(Options&, const option_value&);
};

/// The same by a table of entries.
template <class Options, std::size_t N>
unsigned read_option_list(std::string_view variable, std::string_view text, const option_entry<Options> (&table)[N],
                          Options& to) noexcept {
  struct target {
    const option_entry<Options>* entries;
    Options* options;
  } at{table, &to};
  option_key keys[N];
  for (std::size_t i = 0; i != N; ++i) keys[i] = table[i].key;
  return read_option_list(
      variable, text, std::span<const option_key>(keys),
      [](void* raw, std::size_t key, const option_value& value) {
        const target& t = *static_cast<target*>(raw);
        t.entries[key].set(*t.options, value);
      },
      &at);
}

}  // namespace heddle::detail
