// SPDX-License-Identifier: BSL-1.0
#include "debug_layout.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>

#include "stack.hpp"
#include "switch.hpp"
#include "valgrind.hpp"

namespace heddle::detail {

extern "C" {
// show_context_x86_64.S
void heddle_show_context(void* to, std::uint64_t* words);
void heddle_shown_context(switch_argument from);
#if defined(HEDDLE_FAST_SWITCH) && HEDDLE_FAST_SWITCH
constexpr auto* the_switch = &heddle_switch;
#else
constexpr auto* the_switch = &heddle_jump;
#endif
}

namespace {

using context_words = std::array<std::uint64_t, 16>;

constexpr std::uint64_t nowhere = ~std::uint64_t{0};

/// Where the word `value` lies, in bytes from the context.
std::uint64_t place_of(std::uint64_t value, const context_words& words) noexcept {
  for (std::size_t i = 0; i != words.size(); ++i)
    if (words[i] == value) return 8 * i;
  return nowhere;
}

/// The same for the first word that points into the switch, or into its caller, both of which are short.
std::uint64_t place_of_return(const context_words& words) noexcept {
  constexpr std::uint64_t longest = 128;
  for (std::size_t i = 0; i != words.size(); ++i)
    for (const std::uint64_t begin :
         {reinterpret_cast<std::uint64_t>(the_switch), reinterpret_cast<std::uint64_t>(&heddle_show_context)})
      if (words[i] - begin < longest) return 8 * i;
  return nowhere;
}

}  // namespace

void tell_of_contexts() {
  if (debug_layout.context_rip != 0) return;
  // Large enough for a signal that comes just now.
  constexpr std::size_t size = 64 * 1024;
  const auto room = std::make_unique_for_overwrite<char[]>(size);
  stack apart{};
  apart.bottom = room.get();
  apart.size = size;
  announce_home_stack(apart);
  context_words words{};
  heddle_show_context(make_context(room.get() + size, size, heddle_shown_context), words.data());
  retire_home_stack(apart);
  VALGRIND_MAKE_MEM_DEFINED(words.data(), sizeof words);  // words of the context that nobody has written are among them

  constexpr std::uint64_t mark = 0x686564646c650001;  // as in show_context_x86_64.S
  const std::uint64_t places[] = {place_of(mark, words),     place_of(mark + 1, words), place_of(mark + 2, words),
                                  place_of(mark + 3, words), place_of(mark + 4, words), place_of(mark + 5, words),
                                  place_of_return(words)};
  if (std::find(std::begin(places), std::end(places), nowhere) != std::end(places)) return;  // a switch like no other
  debug_layout.context_rbx = places[0];
  debug_layout.context_rbp = places[1];
  debug_layout.context_r12 = places[2];
  debug_layout.context_r13 = places[3];
  debug_layout.context_r14 = places[4];
  debug_layout.context_r15 = places[5];
  debug_layout.context_rip = places[6];
}

}  // namespace heddle::detail
