// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dlfcn.h>

#include <boost/test/unit_test.hpp>
#include <cstdint>

namespace heddle::testing {

/// The library of roots_module.cpp, loaded while this lives.
class loaded_module {
 public:
  explicit loaded_module(const char* path = ROOTS_MODULE) : handle_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) BOOST_FAIL(::dlerror());
  }
  ~loaded_module() { ::dlclose(handle_); }
  loaded_module(const loaded_module&) = delete;
  loaded_module& operator=(const loaded_module&) = delete;

  void** variable() const { return call<void**>("roots_module_variable"); }
  void** own_variable() const { return call<void**>("roots_module_own_variable"); }
  const std::uintptr_t* read_only() const { return call<const std::uintptr_t*>("roots_module_read_only"); }
  int* const* constant() const { return call<int* const*>("roots_module_constant"); }

 private:
  template <class Result>
  Result call(const char* name) const {
    return reinterpret_cast<Result (*)()>(::dlsym(handle_, name))();
  }
  void* const handle_;
};

}  // namespace heddle::testing
