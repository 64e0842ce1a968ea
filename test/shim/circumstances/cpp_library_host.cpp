// SPDX-License-Identifier: BSL-1.0
//
// A program that has no C++ runtime, as programs in C are.
//
// LIBRARY local|global: opens it, calls its functions, closes it, and says what is wrong.
// none: calls operator new for more memory than there is.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int call(void* library, const char* name, int wanted) {
  int (*const f)() = reinterpret_cast<int (*)()>(::dlsym(library, name));
  const int got = f != nullptr ? f() : -1;
  if (got == wanted) return 0;
  fprintf(stderr, "%s: %d instead of %d\n", name, got, wanted);
  return 1;
}

int main(int count, char** words) {
  if (::dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv") != nullptr) return fputs("a runtime is there\n", stderr), 2;
  if (count == 2) {
    void* (*const allocate)(size_t) = reinterpret_cast<void* (*)(size_t)>(::dlsym(RTLD_DEFAULT, "_Znwm"));
    return allocate == nullptr || allocate(size_t{1} << 50) != nullptr;
  }
  void* const library = ::dlopen(words[1], RTLD_NOW | (strcmp(words[2], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL));
  if (library == nullptr) return fprintf(stderr, "%s\n", ::dlerror()), 2;
  void* (*const block)() = reinterpret_cast<void* (*)()>(::dlsym(library, "library_block"));
  free(block());
  const int wrong = call(library, "library_gives_null", 4) + call(library, "library_gives_null_with_handler", 12) +
                    call(library, "library_throws", 4) + call(library, "library_throws_with_handler", 12) +
                    call(library, "library_throws_through_libc", 1);
  if (::dlclose(library) != 0 || ::dlopen(words[1], RTLD_NOW | RTLD_NOLOAD) != nullptr)
    return fputs("it cannot be closed\n", stderr), 1;
  return wrong != 0;
}
