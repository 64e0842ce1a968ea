// SPDX-License-Identifier: BSL-1.0
#include "settings.hpp"

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cpu_quota.hpp"
#include "heddle/detail/option_list.hpp"
#include "report.hpp"

namespace heddle::detail {
namespace {

template <class Number, Number options::*Member>
void set_number(options& o, const option_value& value) {
  o.*Member = static_cast<Number>(value.number);
}
template <bool options::*Member>
void set_switch(options& o, const option_value& value) {
  o.*Member = value.number != 0;
}

constexpr std::uint64_t us = 1000, ms = 1000 * us, second = 1000 * ms;

/// Under the names that struct options has; the short ones are older.
constexpr option_entry<options> table[] = {
    {{.name = "procs",
      .form = option_form::number,
      .most = 4096,
      .default_value = "0",
      .meaning = "fibers that run at once; 0: as many as the affinity mask and the cgroup's quota allow"},
     set_number<unsigned, &options::procs>},
    {{.name = "stack_size",
      .also = "stack",
      .form = option_form::bytes,
      .least = std::uint64_t{16} << 10,
      .most = std::uint64_t{64} << 20,
      .default_value = "256K",
      .meaning = "address space of a fiber's stack"},
     set_number<std::size_t, &options::stack_size>},
    {{.name = "segment_size",
      .also = "segment",
      .form = option_form::word,
      .words = "1K|2K|1024|2048",
      .default_value = "2K",
      .meaning = "bytes of the first segment of a stack that grows"},
     [](options& o, const option_value& value) { o.segment_size = value.number % 2 == 0 ? 1024 : 2048; }},
    {{.name = "max_stack",
      .form = option_form::bytes,
      .least = std::uint64_t{1} << 20,
      .most = std::uint64_t{1} << 46,
      .default_value = "1G",
      .meaning = "all segments of one fiber together"},
     set_number<std::size_t, &options::max_stack>},
    {{.name = "slice",
      .form = option_form::duration,
      .least = 1 * ms,
      .most = 10 * second,
      .unit = us,
      .default_value = "10ms",
      .meaning = "how long a fiber may run before others get its processor"},
     [](options& o, const option_value& value) { o.slice = std::chrono::microseconds(value.number / us); }},
    {{.name = "max_machines",
      .also = "machines",
      .form = option_form::number,
      .least = 1,
      .most = 1'000'000,
      .default_value = "10000",
      .meaning = "kernel threads for fibers at most"},
     set_number<unsigned, &options::max_machines>},
    {{.name = "detect_deadlock",
      .also = "deadlock",
      .form = option_form::on_off,
      .default_value = "on",
      .meaning = "ends the process with a report if fibers are left that nothing can wake"},
     set_switch<&options::detect_deadlock>},
    {{.name = "monitor",
      .form = option_form::on_off,
      .default_value = "on",
      .meaning = "takes processors from fibers that block or do not let go"},
     set_switch<&options::monitor>},
    {{.name = "preempt",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "fibers with stacks that grow yield when their slice is over"},
     set_switch<&options::preempt>},
    {{.name = "report_overflow",
      .also = "overflow",
      .form = option_form::on_off,
      .default_value = "on",
      .meaning = "reports a fiber that overflows its stack"},
     set_switch<&options::report_overflow>},
    {{.name = "lost_exceptions",
      .form = option_form::word,
      .words = "ignore|report|fatal",
      .default_value = "report",
      .meaning = "what becomes of exceptions that nobody gets"},
     [](options& o, const option_value& value) {
       o.lost_exceptions = static_cast<lost_exception_policy>(value.number);
     }},
    {{.name = "abort_conf",
      .form = option_form::on_off,
      .default_value = "off",
      .meaning = "an error in HEDDLE ends the process with status 2"},
     set_switch<&options::abort_conf>},
};

// The words of the table are numbered as these are.
static_assert(static_cast<int>(lost_exception_policy::ignore) == 0 &&
              static_cast<int>(lost_exception_policy::report) == 1 &&
              static_cast<int>(lost_exception_policy::fatal) == 2);

void apply_environment(options& o) {
  const char* const text = ::secure_getenv("HEDDLE");  // null where the process has rights that its starter has not
  if (text == nullptr || read_option_list("HEDDLE", text, table, o) == 0 || !o.abort_conf) return;
  std::fputs("heddle: HEDDLE has errors and abort_conf is set\n", stderr);
  std::_Exit(2);
}

void check(const options& o) {
  check_stack_size(o.stack_size);
  if (o.segment_size != 1024 && o.segment_size != 2048)
    throw std::invalid_argument("heddle: segment_size " + std::to_string(o.segment_size) + " is neither 1024 nor 2048");
  if (o.max_stack < std::size_t{1} << 20)
    throw std::invalid_argument("heddle: max_stack " + std::to_string(o.max_stack) +
                                " is out of range: at least 1048576 (1M)");
  if (o.procs > 4096)
    throw std::invalid_argument("heddle: procs " + std::to_string(o.procs) + " is out of range: at most 4096");
  if (o.slice < std::chrono::microseconds(1000))
    throw std::invalid_argument("heddle: slice " + std::to_string(o.slice.count()) +
                                " us is out of range: at least 1000");
  if (o.lost_exceptions < lost_exception_policy::ignore || o.lost_exceptions > lost_exception_policy::fatal)
    throw std::invalid_argument("heddle: lost_exceptions " + std::to_string(static_cast<int>(o.lost_exceptions)) +
                                " is out of range: ignore (0), report (1) or fatal (2)");
  if (o.max_machines == 0) throw std::invalid_argument("heddle: max_machines is 0: at least 1");
}

}  // namespace

unsigned usable_processors(const char* root) noexcept {
  cpu_set_t set;
  unsigned n = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) n = static_cast<unsigned>(CPU_COUNT(&set));
  try {
    if (const auto q = cpu_quota(root)) n = std::min(n, *q);
  } catch (...) {  // no memory for a path: the affinity has to do
  }
  return std::max(n, 1u);
}

options effective_options(options given) {
  check(given);
  apply_environment(given);
  if (given.procs == 0) given.procs = usable_processors();
  return given;
}

}  // namespace heddle::detail
