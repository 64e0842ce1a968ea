// SPDX-License-Identifier: BSL-1.0
#include "report_frames.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::detail {
namespace {

/// Where a frame stands, or a function that was inlined into it.
struct place {
  const void* address;
  std::string function;
  std::string file;  ///< the source, or the object file if line is 0
  int line = 0;
};

std::string readable(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status), std::free);
  return name ? name.get() : symbol;
}

/// By the symbols that the object file exports.
place exported_place(const void* address) {
  Dl_info at{};
  place p{address, {}, {}};
  if (::dladdr(address, &at) == 0) return p;
  if (at.dli_sname != nullptr) p.function = readable(at.dli_sname);
  if (at.dli_fname != nullptr) p.file = at.dli_fname;
  return p;
}

#if defined(HEDDLE_BACKTRACE) && HEDDLE_BACKTRACE
// The interface of libbacktrace, which has been the same since 2012. Its header comes with some compilers only.
extern "C" {
struct backtrace_state;
using backtrace_full = int (*)(void* data, std::uintptr_t pc, const char* file, int line, const char* function);
using backtrace_symbol = void (*)(void* data, std::uintptr_t pc, const char* name, std::uintptr_t, std::uintptr_t);
using backtrace_error = void (*)(void* data, const char* message, int error);
backtrace_state* backtrace_create_state(const char* program, int threaded, backtrace_error, void* data);
int backtrace_pcinfo(backtrace_state*, std::uintptr_t pc, backtrace_full, backtrace_error, void* data);
int backtrace_syminfo(backtrace_state*, std::uintptr_t pc, backtrace_symbol, backtrace_error, void* data);
}

void ignore(void*, const char*, int) {}  // no debug information: the rest of a place stays empty

/// Kept, since it holds what has been read of the debug information, and nothing gives that back.
backtrace_state* debug_information() {
  static backtrace_state* const state = backtrace_create_state(nullptr, 0, ignore, nullptr);
  return state;
}

/// The functions at that address, the innermost of those inlined first.
void add_places(const void* address, std::vector<place>& to) {
  struct found {
    const void* address;
    std::vector<place>& places;
  } here{address, to};
  const std::size_t before = to.size();
  const auto pc = reinterpret_cast<std::uintptr_t>(address);
  if (debug_information() == nullptr) return to.push_back(exported_place(address));
  backtrace_pcinfo(
      debug_information(), pc,
      [](void* data, std::uintptr_t, const char* file, int line, const char* function) {
        auto& f = *static_cast<found*>(data);
        if (file != nullptr && function != nullptr) f.places.push_back({f.address, readable(function), file, line});
        return 0;
      },
      ignore, &here);
  if (to.size() != before) return;
  to.push_back(exported_place(address));
  backtrace_syminfo(
      debug_information(), pc,
      [](void* data, std::uintptr_t, const char* name, std::uintptr_t, std::uintptr_t) {
        if (name != nullptr) static_cast<found*>(data)->places.back().function = readable(name);
      },
      ignore, &here);
}
#else
void add_places(const void* address, std::vector<place>& to) { to.push_back(exported_place(address)); }
#endif

/// The folder of the runtime's sources, as the compiler was given it.
constexpr std::string_view our_folder() {
  constexpr std::string_view here = __FILE__;
  return here.substr(0, here.rfind('/') + 1);
}

/// The frames below every fiber's function, and above every wait.
bool is_of_runtime(const place& p) {
  if (p.line != 0 && !our_folder().empty() && p.file.starts_with(our_folder())) return true;
  if (p.line != 0)
    for (const char* const folder : {"/heddle/detail/", "/include/c++/"})
      if (p.file.find(folder) != std::string::npos) return true;
  std::string_view name = p.function;
  for (const std::string_view result : {"void ", "auto ", "decltype(auto) "})
    if (name.starts_with(result)) name.remove_prefix(result.size());
  return name.starts_with("heddle::detail::") || name.starts_with("heddle_jump") || name.starts_with("heddle_switch") ||
         name.starts_with("std::");
}

void print(const place& p) noexcept {
  const char* const function = p.function.empty() ? "?" : p.function.c_str();
  if (p.line != 0)
    std::fprintf(stderr, "    %p %s at %s:%d\n", p.address, function, p.file.c_str(), p.line);
  else
    std::fprintf(stderr, "    %p %s in %s\n", p.address, function, p.file.empty() ? "?" : p.file.c_str());
}

}  // namespace

void print_frames(void* const* frames, std::size_t n) noexcept try {
  std::vector<place> places;
  // The calls, which come before the addresses that they return to, and may be the last of their lines and functions.
  for (std::size_t i = 0; i != n; ++i) add_places(static_cast<const char*>(frames[i]) - 1, places);
  auto first = std::find_if_not(places.begin(), places.end(), is_of_runtime);
  auto last = std::find_if_not(places.rbegin(), places.rend(), is_of_runtime).base();
  if (first == places.end()) {
    first = places.begin();
    last = places.end();
  }
  std::for_each(first, last, print);
} catch (...) {
  std::fputs("    (no memory to tell where)\n", stderr);
}

}  // namespace heddle::detail
