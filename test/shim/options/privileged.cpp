// SPDX-License-Identifier: BSL-1.0
//
// privileged SHARED_OBJECT [early]: says in words how HEDDLE_MALLOC is taken in this process. The shared object is
// opened by name, since a process with privileges takes no preload from its environment. early: while libc knows of no
// environment yet.
#include <dlfcn.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (argc > 2) environ = nullptr;
  void* const shim = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (shim == nullptr) return std::fprintf(stderr, "%s\n", ::dlerror()), 2;
  const auto allocate = reinterpret_cast<void* (*)(std::size_t)>(::dlsym(shim, "malloc"));
  const auto* const block = static_cast<const volatile unsigned char*>(allocate(100));
  std::printf("%s, %s\n", ::getauxval(AT_SECURE) != 0 ? "privileged" : "like any other",
              block[50] == 0xa5 ? "obeyed" : "unread");
}
