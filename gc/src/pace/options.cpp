// SPDX-License-Identifier: BSL-1.0
#include "pace/options.hpp"

#include <cstdlib>

#include "heddle/detail/option_list.hpp"

namespace heddle::gc::detail {
namespace {

using heddle::detail::option_entry;
using heddle::detail::option_form;
using heddle::detail::option_value;

template <std::size_t options::*Member>
void set_number(options& o, const option_value& value) {
  o.*Member = value.number;
}
template <bool options::*Member>
void set_switch(options& o, const option_value& value) {
  o.*Member = value.number != 0;
}

constexpr option_entry<options> table[] = {
    {{.name = "percent",
      .form = option_form::number,
      .most = 10'000,
      .default_value = "100",
      .meaning = "garbage between cycles, of the live bytes; 0: no cycle by itself"},
     set_number<&options::percent>},
    {{.name = "limit", .form = option_form::bytes, .default_value = "0", .meaning = "bytes of the heap; 0: no limit"},
     set_number<&options::limit>},
    {{.name = "mode",
      .form = option_form::word,
      .words = "mark-sweep|generational",
      .default_value = "mark-sweep",
      .meaning = "generational: most cycles go through young objects alone"},
     [](options& o, const option_value& value) { o.generational = value.number != 0; }},
    {{.name = "off",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "no cycle by itself: as percent=0"},
     [](options& o, const option_value& value) { o.percent = value.number != 0 ? 0 : 100; }},
    {{.name = "trace", .form = option_form::on_off, .default_value = "off", .meaning = "a line a cycle on stderr"},
     set_switch<&options::trace>},
    {{.name = "leaks",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "each whole cycle looks for fibers that wait for ever"},
     set_switch<&options::leaks>},
    {{.name = "misplaced",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "finds a gc::ptr where no collector looks"},
     set_switch<&options::misplaced>},
    {{.name = "watch",
      .form = option_form::on_off,
      .default_value = "on",
      .meaning = "young cycles pass over stacks that nobody has written into"},
     set_switch<&options::watch>},
    {{.name = "check",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "checks all marks of each cycle, and poisons dead objects"},
     set_switch<&options::check>},
    {{.name = "stress",
      .form = option_form::number,
      .default_value = "0",
      .meaning = "a cycle before each N-th allocation, and dead objects are poisoned; 0: off"},
     set_number<&options::stress>},
};

}  // namespace

options parse_options(const char* text) noexcept {
  options o;
  if (text != nullptr) heddle::detail::read_option_list("HEDDLE_GC", text, table, o);
  return o;
}

const options& the_options() noexcept {
  static const options o = parse_options(::secure_getenv("HEDDLE_GC"));
  return o;
}

}  // namespace heddle::gc::detail
