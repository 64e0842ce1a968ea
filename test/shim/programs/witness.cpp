// SPDX-License-Identifier: BSL-1.0
//
// Preloaded beside the shim: each process appends its name, and whether its malloc is the shim's, to the file that
// HEDDLE_SHIM_WITNESS names. So the preload is proved for every program that a script starts, not for the first only.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

__attribute__((constructor)) void testify() {
  const char* file = ::getenv("HEDDLE_SHIM_WITNESS");
  const char* shim = ::getenv("HEDDLE_SHIM_SO");
  if (!file || !shim) return;
  Dl_info home{};
  void* address = ::dlsym(RTLD_DEFAULT, "malloc");
  const bool served = address && ::dladdr(address, &home) && ::strcmp(home.dli_fname, shim) == 0;
  char line[128];
  const int n = ::snprintf(line, sizeof line, "%s %s\n", program_invocation_short_name, served ? "shim" : "other");
  const int out = ::open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (out < 0) return;
  (void)!::write(out, line, static_cast<size_t>(n));
  ::close(out);
}

}  // namespace
