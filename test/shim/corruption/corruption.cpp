// SPDX-License-Identifier: BSL-1.0
//
// corruption KIND: does one thing to the heap that no program may do; --list names them. The pointer in question is
// printed first. Status 0: nobody noticed. 3: not noticed, but the harm was averted (what was freed reads as nothing).
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

constexpr std::size_t small = 128, large = 8 << 20;
constexpr int averted = 3;

/// Hides from the compiler where a pointer comes from, so that it leaves the mistakes alone.
char* hide(void* p) {
  asm volatile("" : "+r"(p) : : "memory");
  return static_cast<char*>(p);
}

/// Says which pointer this is about, as the message must name it.
char* about(void* p) {
  std::printf("%p\n", p);
  std::fflush(stdout);
  return hide(p);
}

char* block(std::size_t n) {
  char* p = hide(std::malloc(n));
  std::memset(p, 0x41, n);
  return p;
}

/// As a program would go on: enough to push a block through caches and quarantines on to its next owner.
void go_on(std::size_t n, int times) {
  static char* later[4096];
  for (int i = 0; i != times; ++i) later[i] = block(n);
  for (int i = 0; i != times; ++i) std::free(later[i]);
}

int free_twice(std::size_t n, int between) {
  char* p = about(block(n));
  std::free(p);
  go_on(n, between);
  std::free(hide(p));
  go_on(n, between);
  return 0;
}

int free_this(char* p) {
  std::free(about(p));
  go_on(small, 16);
  return 0;
}

/// Writes n bytes behind all that is usable, or before the block if n is negative, and frees it.
int overflow(std::size_t size, int n) {
  char* p = about(block(size));
  if (n < 0) {
    std::memset(hide(p + n), 0x42, static_cast<std::size_t>(-n));
  } else {
    std::memset(hide(p + ::malloc_usable_size(p)), 0x42, static_cast<std::size_t>(n));
  }
  std::free(p);
  go_on(size, 4);
  return 0;
}

int write_after_free(std::size_t n, int reuses) {
  char* p = about(block(n));
  std::free(p);
  std::memset(hide(p), 0x42, 16);
  go_on(n, reuses);
  return 0;
}

int read_after_free(std::size_t n) {
  char* p = about(block(n));
  std::free(p);
  const char* read = hide(p) + n / 2;
  return *read == 0x41 ? 0 : averted;
}

int delete_with(std::size_t made, std::size_t said) {
  ::operator delete(about(::operator new(made)), said);
  go_on(made, 16);
  return 0;
}

char in_data[256];

struct kind {
  const char* name;
  int (*commit)();
};

constexpr kind kinds[] = {
    {"double_free_small", [] { return free_twice(small, 0); }},
    {"double_free_small_delayed", [] { return free_twice(small, 64); }},
    {"double_free_large", [] { return free_twice(large, 0); }},
    {"double_free_large_delayed", [] { return free_twice(large, 8); }},
    {"double_free_interleaved",
     [] {
       char *a = about(block(small)), *b = block(small);
       std::free(a), std::free(b), std::free(hide(a));
       return 0;
     }},
    {"double_delete",
     [] {
       char* p = about(new char[small]);
       delete[] p;
       delete[] hide(p);
       return 0;
     }},
    {"free_stack",
     [] {
       char local[256] = {};
       return free_this(local + 64);
     }},
    {"free_static", [] { return free_this(in_data + 64); }},
    {"free_interior_small", [] { return free_this(block(small) + 64); }},
    {"free_interior_large", [] { return free_this(block(large) + (1 << 20)); }},
    {"free_unaligned_small", [] { return free_this(block(small) + 1); }},
    {"free_unaligned_large", [] { return free_this(block(large) + 1); }},
    {"free_far", [] { return free_this(block(small) + (std::ptrdiff_t{1} << 40)); }},
    {"free_mapped",
     [] {
       void* p = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return free_this(static_cast<char*>(p) + 4096);
     }},
    {"free_protected",
     [] {
       return free_this(static_cast<char*>(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
     }},
    {"free_unmapped",
     [] {
       void* p = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       ::munmap(p, 4096);
       return free_this(static_cast<char*>(p));
     }},
    {"free_uninitialised", [] { return free_this(reinterpret_cast<char*>(0x4141414141414140)); }},
    {"free_never_allocated", [] { return free_this(block(48) + 4 * 48); }},
    {"delete_wrong_size_small", [] { return delete_with(small, 4 * small); }},
    {"delete_wrong_size_large", [] { return delete_with(large, small); }},
    {"overflow_small_by_1", [] { return overflow(small, 1); }},
    {"overflow_small_by_8", [] { return overflow(small, 8); }},
    {"overflow_large_by_1", [] { return overflow(large, 1); }},
    {"overflow_large_by_8", [] { return overflow(large, 8); }},
    {"underflow_small_by_8", [] { return overflow(small, -8); }},
    {"overflow_string",
     [] {
       char* p = about(block(24));
       const std::size_t usable = ::malloc_usable_size(p);
       std::memset(hide(p), 'x', usable);
       std::strcpy(hide(p + usable), "");  // the terminator that nobody counted
       std::free(p);
       return 0;
     }},
    {"overflow_array_of_a_megabyte",
     [] {
       char* p = about(block(small));
       std::memset(hide(p), 0x42, 1 << 20);
       std::free(p);
       return 0;
     }},
    {"write_after_free_small", [] { return write_after_free(small, 0); }},
    {"write_after_free_small_reuse", [] { return write_after_free(small, 4096); }},
    {"write_after_free_large", [] { return write_after_free(large, 0); }},
    {"write_after_free_large_reuse", [] { return write_after_free(large, 8); }},
    {"read_after_free_small", [] { return read_after_free(small); }},
    {"read_after_free_large", [] { return read_after_free(large); }},
    {"write_no_bytes",
     [] {
       char* p = about(std::malloc(0));
       std::memset(p, 0x42, ::malloc_usable_size(p) + 1);
       std::free(p);
       return 0;
     }},
    {"usable_size_freed",
     [] {
       char* p = about(block(small));
       std::free(p);
       return ::malloc_usable_size(hide(p)) ? 0 : averted;
     }},
    {"usable_size_interior", [] { return ::malloc_usable_size(about(block(small) + 64)) ? 0 : averted; }},
    {"usable_size_stack",
     [] {
       char local[256] = {};
       return ::malloc_usable_size(about(local + 64)) ? 0 : averted;
     }},
    {"realloc_freed",
     [] {
       char* p = about(block(small));
       std::free(p);
       return hide(std::realloc(hide(p), 2 * small)) ? 0 : averted;
     }},
    {"realloc_interior", [] { return hide(std::realloc(about(block(small) + 64), 2 * small)) ? 0 : averted; }},
    {"realloc_uninitialised",
     [] { return hide(std::realloc(about(reinterpret_cast<void*>(0x4141414141414140)), small)) ? 0 : averted; }},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const kind& k : kinds) std::puts(k.name);
    return 0;
  }
  for (const kind& k : kinds) {
    if (argc != 2 || std::strcmp(argv[1], k.name) != 0) continue;
    // Not through exit(), where a message about something else might come.
    const int status = k.commit();
    ::_exit(status);
  }
  std::fprintf(stderr, "Usage: corruption KIND\n       corruption --list\n");
  return 2;
}
