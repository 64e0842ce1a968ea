// SPDX-License-Identifier: BSL-1.0
//
// A library to be loaded and unloaded: with thread-locals, which the dynamic linker allocates, and blocks of its own.
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
