// SPDX-License-Identifier: BSL-1.0
#include "trace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace model::detail {
namespace {

const char* name_of(operation op) noexcept {
  switch (op) {
    case operation::load: return "load";
    case operation::store: return "store";
    case operation::rmw: return "rmw";
    case operation::cas_done: return "cas";
    case operation::cas_failed: return "cas failed";
    case operation::fence: return "fence";
    case operation::heavy_barrier: return "heavy_barrier";
    case operation::futex_sleep: return "futex_wait sleeps";
    case operation::futex_return: return "futex_wait returns";
    case operation::futex_wake: return "futex_wake";
    case operation::relax: return "cpu_relax";
    case operation::now: return "now";
    case operation::start: return "starts thread";
    case operation::join: return "joins thread";
    case operation::end: return "ends";
    case operation::time: return "time passes to";
    case operation::preempt: return "preempt_point";
  }
  return "?";
}

const char* name_of(std::memory_order order) noexcept {
  switch (order) {
    case std::memory_order_relaxed: return "relaxed";
    case std::memory_order_consume: return "consume";
    case std::memory_order_acquire: return "acquire";
    case std::memory_order_release: return "release";
    case std::memory_order_acq_rel: return "acq_rel";
    case std::memory_order_seq_cst: return "seq_cst";
  }
  return "?";
}

/// The function around an address, as far as the dynamic symbols tell.
std::string function_at(const void* address) {
  Dl_info info{};
  if (address == nullptr || dladdr(address, &info) == 0 || info.dli_sname == nullptr) return {};
  int status = 0;
  char* readable = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  std::string name = status == 0 ? readable : info.dli_sname;
  std::free(readable);
  if (const auto parenthesis = name.find('('); parenthesis != std::string::npos) name.resize(parenthesis);
  return name;
}

bool has_order(operation op) noexcept { return op <= operation::fence; }

void describe(const trace_entry& e, char* text, std::size_t size) {
  const char* order = has_order(e.op) ? name_of(static_cast<std::memory_order>(e.order)) : "";
  const auto value = static_cast<unsigned long long>(e.value);
  const auto second = static_cast<unsigned long long>(e.second);
  switch (e.op) {
    case operation::load:
      std::snprintf(text, size, "#%u.load(%s) = %#llx%s", e.atomic, order, value, second != 0 ? " (old)" : "");
      break;
    case operation::store: std::snprintf(text, size, "#%u.store(%#llx, %s)", e.atomic, value, order); break;
    case operation::rmw: std::snprintf(text, size, "#%u.rmw(%s) %#llx -> %#llx", e.atomic, order, value, second); break;
    case operation::cas_done:
      std::snprintf(text, size, "#%u.cas(%s) %#llx -> %#llx", e.atomic, order, value, second);
      break;
    case operation::cas_failed:
      std::snprintf(text, size, "#%u.cas(%s) fails on %#llx, expected %#llx", e.atomic, order, value, second);
      break;
    case operation::fence: std::snprintf(text, size, "fence(%s)", order); break;
    case operation::futex_sleep:
    case operation::futex_wake:
    case operation::futex_return: std::snprintf(text, size, "%s #%u (%#llx)", name_of(e.op), e.atomic, value); break;
    default: std::snprintf(text, size, "%s %llu", name_of(e.op), value); break;
  }
}

}  // namespace

std::string trace::format(const char* (*name)(unsigned), std::size_t most) const {
  most = std::min(most, size);
  std::string out;
  for (std::uint64_t i = next_ > most ? next_ - most : 0; i < next_; ++i) {
    const trace_entry& e = entries_[i % size];
    char what[160];
    describe(e, what, sizeof what);
    char line[256];
    std::snprintf(line, sizeof line, "%6llu  %u %-12s %-60s ", static_cast<unsigned long long>(i), unsigned{e.thread},
                  name(e.thread), what);
    out += line + function_at(e.caller) + '\n';
  }
  return out;
}

}  // namespace model::detail
