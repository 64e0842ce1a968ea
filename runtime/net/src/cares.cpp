// SPDX-License-Identifier: BSL-1.0
#include "cares.hpp"

#include <dlfcn.h>

#include <optional>

// A fully static program has none of these.
#pragma weak dlopen
#pragma weak dlsym

namespace heddle::net {
namespace {

template <class F>
bool find(void* library, const char* name, F& to) noexcept {
  to = reinterpret_cast<F>(::dlsym(library, name));
  return to != nullptr;
}

std::optional<cares> load() noexcept {
  if (dlopen == nullptr || dlsym == nullptr) return std::nullopt;
  // The name that all versions with these functions have had. Kept: channels may be there at any time.
  void* const library = ::dlopen("libcares.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::nullopt;
  cares c{};
  decltype(&::ares_library_init) library_init = nullptr;
  const bool complete =
      find(library, "ares_library_init", library_init) && find(library, "ares_init_options", c.init_options) &&
      find(library, "ares_destroy", c.destroy) && find(library, "ares_set_socket_functions", c.set_socket_functions) &&
      find(library, "ares_getaddrinfo", c.getaddrinfo) && find(library, "ares_freeaddrinfo", c.freeaddrinfo) &&
      find(library, "ares_process_fd", c.process_fd) && find(library, "ares_timeout", c.timeout);
  if (!complete || library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) return std::nullopt;
  return c;
}

}  // namespace

const cares* cares::library() noexcept {
  static const std::optional<cares> loaded = load();
  return loaded ? &*loaded : nullptr;
}

}  // namespace heddle::net
