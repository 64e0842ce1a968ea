// SPDX-License-Identifier: BSL-1.0
//
// Says how it was started, one thing a line: whether the shim is mapped, whether its starter has not its rights, its
// variables, its arguments. Its exit status is the number behind "exit", if that is its first argument. Calls of libc
// only.
#include <sys/auxv.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

bool shim_is_mapped() {
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  bool found = false;
  for (char line[4096]; maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr;)
    found |= std::strstr(line, "/libheddle_malloc.so") != nullptr;
  if (maps != nullptr) std::fclose(maps);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  void* const block = std::malloc(100);
  std::printf("%s\n%s\n", shim_is_mapped() ? "taken" : "ignored",
              ::getauxval(AT_SECURE) != 0 ? "secure" : "like any other");
  for (const char* name : {"HEDDLE_MALLOC", "LD_PRELOAD"})
    if (const char* const value = std::getenv(name); value != nullptr) std::printf("%s=%s\n", name, value);
  for (int i = 0; i != argc; ++i) std::printf("%d: '%s'\n", i, argv[i]);
  std::free(block);
  return argc > 2 && std::strcmp(argv[1], "exit") == 0 ? std::atoi(argv[2]) : 0;
}
