// SPDX-License-Identifier: BSL-1.0
//
// A library to be loaded and unloaded: with thread-locals, which the dynamic linker allocates, and blocks of its own.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

namespace {

thread_local char large[60'000];
thread_local int small = 42;
void* held[100];

__attribute__((constructor)) void load() {
  for (void*& p : held) p = std::malloc(1000);
}
__attribute__((destructor)) void unload() {
  for (void* p : held) std::free(p);
}

}  // namespace

/// Uses the thread-locals of the calling thread; a block that outlives the library. NULL if they held something wrong.
extern "C" void* plugin_call() {
  if (small != 42 || large[sizeof large - 1] != 0) return nullptr;
  std::memset(large, 1, sizeof large);
  const bool right = large[sizeof large / 2] == 1;
  std::memset(large, 0, sizeof large);
  return right ? std::malloc(500) : nullptr;
}

/// Frees a block of libc's strdup(), and `block`, which comes from elsewhere. plugin_home(): the home of its malloc.
extern "C" void plugin_take(char* block) {
  std::free(::strdup("allocated by libc"));
  std::free(block);
}
extern "C" void* plugin_home() {
  Dl_info found{};
  void* (*const allocate)(std::size_t) = std::malloc;
  return ::dladdr(reinterpret_cast<void*>(allocate), &found) != 0 ? found.dli_fbase : nullptr;
}

/// Opens a library as one that this library needs.
extern "C" void* plugin_open(const char* name, int flags) {
  void* volatile opened = ::dlopen(name, flags);  // no jump: the dynamic linker looks for who calls
  return opened;
}
