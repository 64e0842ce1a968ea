// SPDX-License-Identifier: BSL-1.0
//
// corruption KIND: does one thing to the heap that no program may do; --list names them. The pointer in question is
// printed first. Status 0: nobody noticed. 3: not noticed, but the harm was averted (what was freed reads as nothing).
// Sizes: `small` is of a size class with every allocator, `medium` with some, `large` with none.
#include <dlfcn.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

constexpr std::size_t small = 128, medium = 256 << 10, large = 8 << 20;
constexpr int averted = 3;
constexpr int leave_by_exit = 4;  // where it may be noticed that only now comes

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

int write_after_free(std::size_t n, int reuses, std::size_t at = 0) {
  char* p = about(block(n));
  std::free(p);
  std::memset(hide(p) + at, 0x42, 16);
  go_on(n, reuses);
  return 0;
}

/// Behind what was asked for, if that is less than what is usable: no harm to most heaps.
int overflow_by_one(std::size_t size) {
  char* p = about(block(size));
  hide(p)[size] = 0x42;
  std::free(p);
  go_on(size, 4);
  return 0;
}

int read_after_free(std::size_t n) {
  char* p = about(block(n));
  std::free(p);
  const char* read = hide(p) + n / 2;
  return *read == 0x41 ? 0 : averted;
}

int usable_size_of(void* p) { return ::malloc_usable_size(about(p)) ? 0 : averted; }

void* nowhere() { return reinterpret_cast<void*>(0x10); }

int delete_with(std::size_t made, std::size_t said) {
  ::operator delete(about(::operator new(made)), said);
  go_on(made, 16);
  return 0;
}

int delete_aligned_with(std::size_t alignment, std::size_t made, std::size_t said, bool array = false) {
  const std::align_val_t a{alignment};
  if (array)
    ::operator delete[](about(::operator new[](made, a)), said, a);
  else
    ::operator delete(about(::operator new(made, a)), said, a);
  go_on(made, 16);
  return 0;
}

/// The address is as aligned as is said, by chance or because it is more.
int delete_aligned_as(std::size_t alignment, std::size_t made, std::size_t said) {
  const std::align_val_t a{alignment};
  void* p = ::operator new(made, a);
  while (reinterpret_cast<std::uintptr_t>(p) % said != 0) p = ::operator new(made, a);
  ::operator delete (about(p), made, std::align_val_t{said});
  return 0;
}

/// Of C23, which this libc may not have: free_sized(p, size), free_aligned_sized(p, alignment, size).
template <class... Args>
int free_by(const char* name, void* p, Args... args) {
  const auto f = reinterpret_cast<void (*)(void*, Args...)>(::dlsym(RTLD_DEFAULT, name));
  if (f == nullptr) return averted;
  f(about(p), args...);
  go_on(small, 16);
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
    {"double_free_medium", [] { return free_twice(medium, 0); }},
    {"double_free_medium_delayed", [] { return free_twice(medium, 8); }},
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
    {"free_interior_medium", [] { return free_this(block(medium) + 4096); }},
    {"free_interior_large", [] { return free_this(block(large) + (1 << 20)); }},
    {"free_unaligned_small", [] { return free_this(block(small) + 1); }},
    {"free_unaligned_medium", [] { return free_this(block(medium) + 1); }},
    {"free_unaligned_large", [] { return free_this(block(large) + 1); }},
    {"free_near", [] { return free_this(block(24) + (2 << 20)); }},
    {"free_a_gigabyte_away", [] { return free_this(block(24) + (1 << 30)); }},
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
    {"free_nowhere", [] { return free_this(static_cast<char*>(nowhere())); }},
    {"free_never_allocated", [] { return free_this(block(48) + 4 * 48); }},
    {"delete_wrong_size_small", [] { return delete_with(small, 4 * small); }},
    {"delete_too_small_size", [] { return delete_with(320, 40); }},
    {"delete_wrong_size_large", [] { return delete_with(large, small); }},
    {"delete_by_a_page_too_small_large", [] { return delete_with(large, large - 8192); }},
    {"delete_wrong_size_huge", [] { return delete_with(8 * large, 4 * large); }},
    {"delete_aligned_too_small_size", [] { return delete_aligned_with(64, 256, 64); }},
    {"delete_aligned_too_large_size", [] { return delete_aligned_with(64, 256, 257); }},
    {"delete_aligned_array_wrong_size", [] { return delete_aligned_with(64, 256, 64, true); }},
    {"delete_aligned_wrong_size_large", [] { return delete_aligned_with(64, large, large / 2); }},
    {"delete_aligned_to_pages_wrong_size", [] { return delete_aligned_with(16384, 16384, 100); }},
    {"delete_aligned_little_wrong_size", [] { return delete_aligned_with(8, 256, 64); }},
    {"delete_wrong_alignment",
     [] {
       void* p = ::operator new (small, std::align_val_t{32});
       while (reinterpret_cast<std::uintptr_t>(p) % 4096 == 0) p = ::operator new (small, std::align_val_t{32});
       ::operator delete (about(p), small, std::align_val_t{4096});
       return 0;
     }},
    {"delete_smaller_alignment", [] { return delete_aligned_as(256, 256, 64); }},
    {"delete_smaller_alignment_large", [] { return delete_aligned_as(1024, large, 64); }},
    {"delete_larger_alignment", [] { return delete_aligned_as(64, 256, 128); }},
    {"delete_without_alignment",
     [] {
       ::operator delete(about(::operator new (100, std::align_val_t{64})), 100);
       return 0;
     }},
    {"free_aligned_sized_smaller_alignment",
     [] { return free_by("free_aligned_sized", std::aligned_alloc(256, 256), std::size_t{64}, std::size_t{256}); }},
    {"free_sized_too_small", [] { return free_by("free_sized", std::malloc(256), std::size_t{100}); }},
    {"free_sized_too_large", [] { return free_by("free_sized", std::malloc(256), std::size_t{300}); }},
    {"free_sized_wrong_large", [] { return free_by("free_sized", std::malloc(large), std::size_t{large / 2 + 1}); }},
    {"free_aligned_sized_too_small",
     [] { return free_by("free_aligned_sized", std::aligned_alloc(64, 256), std::size_t{64}, std::size_t{64}); }},
    {"overflow_small_by_1", [] { return overflow(small, 1); }},
    {"overflow_small_by_8", [] { return overflow(small, 8); }},
    {"overflow_behind_what_was_asked", [] { return overflow_by_one(24); }},
    {"overflow_behind_whole_grains", [] { return overflow_by_one(32); }},
    {"overflow_never_freed",
     [] {
       char* p = about(block(24));
       hide(p)[24] = 0x42;
       return leave_by_exit;
     }},
    {"overflow_medium_by_1", [] { return overflow(medium, 1); }},
    {"overflow_medium_by_8", [] { return overflow(medium, 8); }},
    {"overflow_medium_odd", [] { return overflow_by_one(medium + 3); }},
    {"overflow_large_by_1", [] { return overflow(large, 1); }},
    {"overflow_large_by_8", [] { return overflow(large, 8); }},
    {"underflow_small_by_8", [] { return overflow(small, -8); }},
    {"underflow_medium_by_8", [] { return overflow(medium + 16, -8); }},
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
    {"write_after_free_small_middle", [] { return write_after_free(200, 4000, 100); }},
    {"write_after_free_small_owned",
     [] {
       char* p = about(block(200));
       std::free(p);
       go_on(200, 1);  // perhaps it had another owner
       std::memset(hide(p) + 100, 0x42, 16);
       go_on(200, 4000);
       return 0;
     }},
    {"write_after_free_small_at_exit",
     [] {
       char* p = about(block(24));
       std::free(p);
       hide(p)[23] = 0x42;
       return leave_by_exit;
     }},
    {"write_after_free_medium", [] { return write_after_free(medium, 0, medium / 2); }},
    {"write_after_free_medium_reuse", [] { return write_after_free(medium, 64, medium / 2); }},
    {"write_after_free_large", [] { return write_after_free(large, 0); }},
    {"write_after_free_large_reuse", [] { return write_after_free(large, 8); }},
    {"read_after_free_small", [] { return read_after_free(small); }},
    {"read_after_free_medium", [] { return read_after_free(medium); }},
    {"read_after_free_large", [] { return read_after_free(large); }},
    {"read_endless_string",
     [] {
       char *a = about(block(16)), *b = block(16);
       return std::strlen(hide(a)) > 17 || std::strlen(hide(b)) > 17 ? 0 : averted;
     }},
    {"read_no_bytes", [] { return *hide(about(std::malloc(0))) == 'x' ? 0 : averted; }},
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
    {"usable_size_interior", [] { return usable_size_of(block(small) + 64); }},
    {"usable_size_unaligned", [] { return usable_size_of(block(24) + 3); }},
    {"usable_size_near", [] { return usable_size_of(block(24) + (2 << 20)); }},
    {"usable_size_nowhere", [] { return usable_size_of(nowhere()); }},
    {"usable_size_stack",
     [] {
       char local[256] = {};
       return usable_size_of(local + 64);
     }},
    {"realloc_freed",
     [] {
       char* p = about(block(small));
       std::free(p);
       return hide(std::realloc(hide(p), 2 * small)) ? 0 : averted;
     }},
    {"realloc_interior", [] { return hide(std::realloc(about(block(small) + 64), 2 * small)) ? 0 : averted; }},
    {"realloc_nowhere", [] { return hide(std::realloc(about(nowhere()), small)) ? 0 : averted; }},
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
    const int status = k.commit();
    if (status == leave_by_exit) return 0;
    ::_exit(status);  // exit() might have something to say about something else
  }
  std::fprintf(stderr, "Usage: corruption KIND\n       corruption --list\n");
  return 2;
}
