// SPDX-License-Identifier: BSL-1.0
//
// Preloaded beside the shim: each process appends its name, and whether its malloc is the shim's, to the file that
// HEDDLE_SHIM_WITNESS names. So the preload is proved for every program that a script starts, not for the first only.
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

/// Whose malloc() the calls of this process reach.
bool served_by(const char* shim) {
  void* address = ::dlsym(RTLD_DEFAULT, "malloc");
  Dl_info home{};
  const Elf64_Sym* symbol = nullptr;
  if (!address ||
      !::dladdr1(address, &home, reinterpret_cast<void**>(const_cast<Elf64_Sym**>(&symbol)), RTLD_DL_SYMENT))
    return false;
  // In a program at a fixed address it is a stub of the program's, which jumps to the next: this library is before all.
  if (symbol && symbol->st_shndx == SHN_UNDEF) {
    address = ::dlsym(RTLD_NEXT, "malloc");
    if (!address || !::dladdr(address, &home)) return false;
  }
  return ::strcmp(home.dli_fname, shim) == 0;
}

__attribute__((constructor)) void testify() {
  const char* file = ::getenv("HEDDLE_SHIM_WITNESS");
  const char* shim = ::getenv("HEDDLE_SHIM_SO");
  if (!file || !shim) return;
  char line[128];
  const int n =
      ::snprintf(line, sizeof line, "%s %s\n", program_invocation_short_name, served_by(shim) ? "shim" : "other");
  const int out = ::open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (out < 0) return;
  (void)!::write(out, line, static_cast<size_t>(n));
  ::close(out);
}

}  // namespace
