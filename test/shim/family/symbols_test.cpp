// SPDX-License-Identifier: BSL-1.0
//
// Every function of the family comes from one shared object: a block of one heap must never meet the free of another.
#define BOOST_TEST_MODULE shim_symbols
#include <malloc.h>
#include <stdio.h>
#include <wchar.h>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

void served_together(std::initializer_list<const char*> functions) {
  for (const char* function : functions)
    BOOST_TEST_CONTEXT(function) BOOST_TEST(home_of(function) == home_of("malloc"));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(symbols)

BOOST_AUTO_TEST_CASE(functions_of_C_and_POSIX) {
  served_together({"malloc", "free", "calloc", "realloc", "reallocarray", "aligned_alloc", "posix_memalign"});
}

BOOST_AUTO_TEST_CASE(extensions) {
  served_together({"memalign", "valloc", "pvalloc", "malloc_usable_size", "malloc_trim", "malloc_stats", "mallinfo",
                   "mallinfo2", "mallopt"});
}

// glibc's own names for them, which some programs call and then free; names that are gone (cfree, which programs linked
// before 2017 have) or new (C23): whoever has them, it must not be another heap.
BOOST_AUTO_TEST_CASE(other_names) {
  for (const char* function :
       {"__libc_malloc", "__libc_free", "__libc_calloc", "__libc_realloc", "__libc_memalign", "__libc_valloc",
        "__libc_pvalloc", "__posix_memalign", "cfree", "free_sized", "free_aligned_sized", "malloc_info"}) {
    const std::string home = home_of(function);
    BOOST_TEST_CONTEXT(function) BOOST_TEST((home.empty() || home == home_of("malloc")));
  }
}

BOOST_AUTO_TEST_CASE(operators_of_cpp) {
  if (without_shim()) return;  // libstdc++'s, which call malloc
  served_together({"_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t",
                   "_ZnamSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t"});
  served_together({"_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t",
                   "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t",
                   "_ZdlPvSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t"});
}

BOOST_AUTO_TEST_CASE(what_libc_allocates_can_be_freed) {
  char* line = nullptr;
  std::size_t size = 0;
  std::FILE* text = ::fmemopen(const_cast<char*>("one line\n"), 9, "r");
  BOOST_TEST(::getline(&line, &size, text) == 9);
  std::fclose(text);
  char* printed = nullptr;
  BOOST_TEST(::asprintf(&printed, "%0*d", 5000, 7) == 5000);
  char* stream = nullptr;
  std::FILE* memory = ::open_memstream(&stream, &size);
  for (int i = 0; i != 100'000; ++i) std::fputs("0123456789", memory);
  std::fclose(memory);
  BOOST_TEST(size == 1'000'000u);
  for (void* p : {static_cast<void*>(::strdup("text")), static_cast<void*>(::wcsdup(L"text")),
                  static_cast<void*>(::realpath("/", nullptr)), static_cast<void*>(::getcwd(nullptr, 0)),
                  static_cast<void*>(line), static_cast<void*>(printed), static_cast<void*>(stream)}) {
    BOOST_TEST(p);
    BOOST_TEST(::malloc_usable_size(p) > 0u);
    std::free(p);
  }
}

BOOST_AUTO_TEST_SUITE_END()
