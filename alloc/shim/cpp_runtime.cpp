// SPDX-License-Identifier: BSL-1.0
#include "cpp_runtime.hpp"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace std {
// Weak, so that this library serves C programs without a runtime.
[[gnu::weak]] new_handler get_new_handler() noexcept;
[[gnu::weak]] void __throw_bad_alloc();
}  // namespace std

namespace heddle::detail::cpp_runtime {
namespace {

/// A library that is loaded, kept so while this lives; null: all that everybody sees. Nothing is loaded for it.
class library {
 public:
  explicit library(const char* name) noexcept : handle_(::dlopen(name, RTLD_LAZY | RTLD_NOLOAD)) {}
  library(const library&) = delete;
  library& operator=(const library&) = delete;
  ~library() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  /// In it, or in those that it needs.
  void* find(const char* name) const noexcept { return handle_ != nullptr ? ::dlsym(handle_, name) : nullptr; }

 private:
  void* handle_;
};

/// The name of the library that has this address, as the dynamic linker knows it: null for the program itself.
bool name_at(const void* address, const char*& name) noexcept {
  Dl_info found;
  void* map = nullptr;
  if (::dladdr1(address, &found, &map, RTLD_DL_LINKMAP) == 0 || map == nullptr) return false;
  name = static_cast<const link_map*>(map)->l_name;
  if (name != nullptr && *name == '\0') name = nullptr;
  return true;
}

void* find_from(const void* address, const char* function) noexcept {
  const char* name = nullptr;
  return name_at(address, name) ? library(name).find(function) : nullptr;
}

/// The name of the n-th library that is loaded; empty if it has none, or one that is too long. False: there are fewer.
bool name_of(std::size_t n, char (&name)[1024]) noexcept {
  struct search {
    std::size_t still;
    char* name;
  } s{n, name};
  const auto look = [](dl_phdr_info* info, std::size_t, void* data) noexcept {
    auto& to = *static_cast<search*>(data);
    if (to.still-- != 0) return 0;
    const std::size_t length = std::strlen(info->dlpi_name);
    std::memcpy(to.name, length < sizeof name ? info->dlpi_name : "", length < sizeof name ? length + 1 : 1);
    return 1;
  };
  return ::dl_iterate_phdr(look, &s) != 0;
}

void* find(const char* function, const void* caller) noexcept {
  // Where everybody finds names. Not by RTLD_DEFAULT: then a library which has it could never be closed.
  if (void* const f = library(nullptr).find(function); f != nullptr) return f;
  if (void* const f = find_from(caller, function); f != nullptr) return f;
  // The caller has jumped here for another, or its library was linked without what it needs.
  char name[1024];
  for (std::size_t n = 0; name_of(n, name); ++n)
    if (void* const f = *name != '\0' ? library(name).find(function) : nullptr; f != nullptr) return f;
  return nullptr;
}

auto handler_getter(const void* caller) noexcept {
  if (std::get_new_handler != nullptr) return &std::get_new_handler;
  return reinterpret_cast<decltype(&std::get_new_handler)>(find("_ZSt15get_new_handlerv", caller));
}

/// An operator of the library that has the handler: in another one it may be for blocks of its own. Null if that is the
/// program itself, for which names lead to this library.
void* find_beside_handler(const char* name, const void* caller) noexcept {
  const void* const get = reinterpret_cast<const void*>(handler_getter(caller));
  const char* home = nullptr;
  return get != nullptr && name_at(get, home) && home != nullptr ? library(home).find(name) : nullptr;
}

}  // namespace

std::new_handler handler(const void* caller) noexcept {
  const auto get = handler_getter(caller);
  return get != nullptr ? get() : nullptr;
}

void throw_bad_alloc(std::size_t size, const void* caller) {
  if (std::__throw_bad_alloc != nullptr) std::__throw_bad_alloc();
  if (const auto f = reinterpret_cast<void (*)()>(find("_ZSt17__throw_bad_allocv", caller)); f != nullptr) f();
  // A library with a part of the runtime linked into it (-static-libstdc++) may have operator new alone. It asks
  // malloc() for more than there can be, and throws.
  if (const auto f = reinterpret_cast<void* (*)(std::size_t)>(find_beside_handler("_Znwm", caller)); f != nullptr)
    f(SIZE_MAX);
  char text[200];
  const int n =
      std::snprintf(text, sizeof text,
                    "heddle_malloc: operator new(%zu): no memory, and std::bad_alloc cannot be thrown: no C++ "
                    "runtime is loaded (libstdc++.so.6 or libc++abi.so.1)\n",
                    size);
  if (n > 0) [[maybe_unused]]
    const auto written = ::write(STDERR_FILENO, text, static_cast<std::size_t>(n));
  std::abort();
}

void* nothrow_operator(const char* name, const void* caller) noexcept {
  void* const f = find_beside_handler(name, caller);
  return f != nullptr ? f : ::dlsym(RTLD_NEXT, name);
}

}  // namespace heddle::detail::cpp_runtime
