// SPDX-License-Identifier: BSL-1.0
//
// Does to its memory what no program should, or what any may: `subject KIND`, `subject --list`. To be run with an
// allocator preloaded. It exits with 0 if that went well, or what it did was without effect; and with 3 if it was not
// noticed and had one.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t small = 24, large = 256 << 10;
constexpr int unnoticed = 3;

/// The compiler shall not know where a pointer comes from.
template <class T>
T* unknown(T* p) {
  asm volatile("" : "+r"(p) : : "memory");
  return p;
}

char* make(std::size_t size) {
  char* const p = unknown(static_cast<char*>(std::malloc(size)));
  if (p == nullptr) std::abort();
  return p;
}
void release(void* p) { std::free(unknown(p)); }

/// Others of the same size, so that what is kept back must leave.
void churn(std::size_t size, int count) {
  for (int i = 0; i != count; ++i) release(make(size));
}

int delete_of_wrong_size() {
  struct narrow {
    char bytes[40];
  };
  void* const p = unknown(::operator new(sizeof(narrow) * 8));
  ::operator delete(p, sizeof(narrow));
  return unnoticed;
}

int double_free(std::size_t size, bool delayed) {
  char* const p = make(size);
  char* const q = make(size);
  release(p);
  if (delayed) release(q);
  release(p);
  return unnoticed;
}
int double_free_small() { return double_free(small, false); }
int double_free_small_delayed() { return double_free(small, true); }
int double_free_large() { return double_free(large, false); }
int double_free_large_delayed() { return double_free(large, true); }

int free_of(void* p) {
  release(p);
  return unnoticed;
}
int invalid_free_protected() { return free_of(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }
int invalid_free_unprotected() {
  return free_of(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
int invalid_free_stack() {
  alignas(64) char local[64] = {};
  return free_of(unknown(local));
}
int invalid_free_static() {
  alignas(64) static char there[64];
  return free_of(unknown(there));
}
int invalid_free_near() { return free_of(make(small) + (std::size_t{64} << 10)); }
int invalid_free_far() { return free_of(make(small) + (std::size_t{1} << 30)); }
int invalid_free_inside() { return free_of(make(200) + 64); }
int unaligned_free_small() { return free_of(make(small) + 1); }
int unaligned_free_large() { return free_of(make(large) + 1); }
int inside_free_large() { return free_of(make(large) + 4096); }
int uninitialised_free() { return free_of(reinterpret_cast<void*>(std::uintptr_t{0x10})); }

int size_of(void* p) {
  const std::size_t size = ::malloc_usable_size(unknown(p));
  std::printf("%zu\n", size);
  return unnoticed;
}
int usable_size_invalid() { return size_of(make(small) + (std::size_t{64} << 10)); }
int usable_size_inside() { return size_of(make(small) + 3); }
int usable_size_freed() {
  char* const p = make(small);
  release(p);
  return size_of(p);
}
int uninitialised_usable_size() { return size_of(reinterpret_cast<void*>(std::uintptr_t{0x10})); }
int uninitialised_realloc() {
  return std::realloc(unknown(reinterpret_cast<void*>(std::uintptr_t{0x10})), 100) != nullptr ? unnoticed : 1;
}

/// Not a misuse: what was written is there, and what is behind it is not.
int large_array_growth() {
  std::size_t size = large;
  char* p = make(size);
  std::memset(p, 'x', size);
  for (; size < (std::size_t{64} << 20); size *= 2) {
    p = unknown(static_cast<char*>(std::realloc(p, size * 2)));
    for (std::size_t i = 0; i != size; i += 4096)
      if (p[i] != 'x') return unnoticed;
    std::memset(p + size, 'x', size);
  }
  release(p);
  return 0;
}

int overflow(std::size_t size, std::size_t by) {
  char* const p = make(size);
  for (std::size_t i = 0; i != by; ++i) unknown(p)[size + i] = 1;
  release(p);
  return unnoticed;
}
int overflow_small_1() { return overflow(small, 1); }
int overflow_small_8() { return overflow(small, 8); }
int overflow_small_1_behind_its_grains() { return overflow(32, 1); }
int overflow_large_1() { return overflow(large, 1); }
int overflow_large_8() { return overflow(large, 8); }
int overflow_large_1_odd() { return overflow(large + 3, 1); }
int overflow_never_freed() {
  unknown(make(small))[small] = 1;
  return 0;
}

int underflow(std::size_t size) {
  char* const p = make(size);
  for (int i = 1; i <= 8; ++i) unknown(p)[-i] = 1;
  release(p);
  return unnoticed;
}
int underflow_small() { return underflow(small); }
int underflow_large() { return underflow(large + 16); }

int read_after_free(std::size_t size) {
  char* const p = make(size);
  std::memset(p, 'x', size);
  release(p);
  for (std::size_t i = 0; i != size; ++i)
    if (unknown(p)[i] == 'x') return unnoticed;
  return 0;
}
int read_after_free_small() { return read_after_free(small); }
int read_after_free_large() { return read_after_free(large); }

int read_of_zero_bytes() {
  std::printf("%d\n", unknown(make(0))[0]);
  return unnoticed;
}
int write_of_zero_bytes() {
  unknown(make(0))[0] = 1;
  return unnoticed;
}

/// The end of a string that nobody counted.
int string_overflow() {
  char* const p = make(16);
  std::strcpy(unknown(p), "0123456789abcdef");
  release(p);
  return unnoticed;
}
int read_of_endless_string() {
  char* const p = make(16);
  char* const q = make(16);
  std::memset(p, 'x', 16);
  std::memset(q, 'y', 16);
  return std::strlen(unknown(p)) > 17 || std::strlen(unknown(q)) > 17 ? unnoticed : 0;
}

int write_after_free(std::size_t size, bool reused) {
  char* const p = make(size);
  release(p);
  if (reused) release(make(size));
  unknown(p)[size / 2] = 'x';
  churn(size, 4000);
  return unnoticed;
}
int write_after_free_small() { return write_after_free(200, false); }
int write_after_free_small_reuse() { return write_after_free(200, true); }
int write_after_free_large() { return write_after_free(large, false); }
int write_after_free_large_reuse() { return write_after_free(large, true); }
int write_after_free_at_exit() {
  char* const p = make(small);
  release(p);
  unknown(p)[small - 1] = 'x';
  return 0;
}

/// Whether all blocks of many sizes are full of `value`, when they are new or after others of their size were freed.
int filled_with(int value) {
  for (const std::size_t size : {1, 8, 16, 100, 1000, 5000, 40'000, 300'000, 3'000'000, 40'000'000})
    for (int round = 0; round != 3; ++round) {
      char* const p = make(size);
      for (std::size_t i = 0; i != size; ++i)
        if (p[i] != static_cast<char>(value)) return unnoticed;
      std::memset(p, 'x', size);
      release(p);
    }
  return 0;
}
int new_is_zero() { return filled_with(0); }
int new_is_junk() { return filled_with(0xa5); }
int freed_is_junk() {
  char* const p = make(200);
  std::memset(p, 'x', 200);
  release(p);
  for (std::size_t i = 16; i != 200; ++i)  // a link may be there before
    if (unknown(p)[i] != 0x5a) return unnoticed;
  return 0;
}
int grown_is_zero() {
  std::size_t size = 10;
  for (char* p = make(size); size < (std::size_t{80} << 20); size *= 3) {
    p = unknown(static_cast<char*>(std::realloc(p, size * 3)));
    for (std::size_t i = size; i != size * 3; ++i)
      if (p[i] != 0) return unnoticed;
  }
  return 0;
}
int calloc_is_zero() {
  for (const std::size_t size : {1, 100, 5000, 40'000, 300'000, 3'000'000})
    for (int round = 0; round != 40; ++round) {
      char* const p = unknown(static_cast<char*>(std::calloc(1, size)));
      for (std::size_t i = 0; i != size; ++i)
        if (p[i] != 0) return unnoticed;
      std::memset(p, 'x', size);
      release(p);
    }
  return 0;
}

int usable_size_is_exact() {
  for (const std::size_t size : {0, 1, 24, 100, 5000, 70'000, 3'000'001})
    if (::malloc_usable_size(make(size)) != size) return unnoticed;
  return 0;
}

int alignments() {
  for (std::size_t alignment = 16; alignment <= (std::size_t{4} << 20); alignment *= 2)
    for (const std::size_t size : {0, 1, 100, 4096, 100'000}) {
      void* p = nullptr;
      if (::posix_memalign(&p, alignment, size) != 0) return unnoticed;
      if (reinterpret_cast<std::uintptr_t>(unknown(p)) % alignment != 0) return unnoticed;
      std::memset(p, 'x', size);
      release(p);
    }
  return 0;
}

/// Threads that end, blocks freed by others than those who asked for them, and children in between: no misuse.
int busy() {
  constexpr int rounds = 20, count = 400;
  std::vector<char*> left;
  for (int round = 0; round != rounds; ++round) {
    std::vector<std::thread> threads;
    std::vector<char*> made[4];
    for (auto& mine : made)
      threads.emplace_back([&mine, round] {
        for (int i = 0; i != count; ++i) {
          const auto size = static_cast<std::size_t>((i * 37 + round) % (i % 50 == 0 ? 200'000 : 2000));
          mine.push_back(static_cast<char*>(std::memset(make(size), 'x', size)));
          if (i % 3 == 0) mine.back() = static_cast<char*>(std::realloc(mine.back(), size + 100));
        }
      });
    for (char* p : left) release(p);
    left.clear();
    const pid_t child = ::fork();
    if (child == 0) {
      churn(100, 1000);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) return unnoticed;
    for (std::thread& t : threads) t.join();
    for (auto& mine : made) left.insert(left.end(), mine.begin(), mine.end());
  }
  for (char* p : left) release(p);
  return 0;
}

struct kind {
  const char* name;
  int (*run)();
};
#define HEDDLE_KIND(f) \
  { #f, f }
constexpr kind kinds[] = {
    HEDDLE_KIND(delete_of_wrong_size),
    HEDDLE_KIND(double_free_large),
    HEDDLE_KIND(double_free_large_delayed),
    HEDDLE_KIND(double_free_small),
    HEDDLE_KIND(double_free_small_delayed),
    HEDDLE_KIND(invalid_free_protected),
    HEDDLE_KIND(invalid_free_unprotected),
    HEDDLE_KIND(invalid_free_stack),
    HEDDLE_KIND(invalid_free_static),
    HEDDLE_KIND(invalid_free_near),
    HEDDLE_KIND(invalid_free_far),
    HEDDLE_KIND(invalid_free_inside),
    HEDDLE_KIND(inside_free_large),
    HEDDLE_KIND(usable_size_invalid),
    HEDDLE_KIND(usable_size_inside),
    HEDDLE_KIND(usable_size_freed),
    HEDDLE_KIND(large_array_growth),
    HEDDLE_KIND(overflow_large_1),
    HEDDLE_KIND(overflow_large_1_odd),
    HEDDLE_KIND(overflow_large_8),
    HEDDLE_KIND(overflow_small_1),
    HEDDLE_KIND(overflow_small_1_behind_its_grains),
    HEDDLE_KIND(overflow_small_8),
    HEDDLE_KIND(overflow_never_freed),
    HEDDLE_KIND(underflow_small),
    HEDDLE_KIND(underflow_large),
    HEDDLE_KIND(read_after_free_large),
    HEDDLE_KIND(read_after_free_small),
    HEDDLE_KIND(read_of_zero_bytes),
    HEDDLE_KIND(string_overflow),
    HEDDLE_KIND(read_of_endless_string),
    HEDDLE_KIND(unaligned_free_large),
    HEDDLE_KIND(unaligned_free_small),
    HEDDLE_KIND(uninitialised_free),
    HEDDLE_KIND(uninitialised_realloc),
    HEDDLE_KIND(uninitialised_usable_size),
    HEDDLE_KIND(write_after_free_large),
    HEDDLE_KIND(write_after_free_large_reuse),
    HEDDLE_KIND(write_after_free_small),
    HEDDLE_KIND(write_after_free_small_reuse),
    HEDDLE_KIND(write_after_free_at_exit),
    HEDDLE_KIND(write_of_zero_bytes),
    // No misuses.
    HEDDLE_KIND(new_is_zero),
    HEDDLE_KIND(new_is_junk),
    HEDDLE_KIND(freed_is_junk),
    HEDDLE_KIND(grown_is_zero),
    HEDDLE_KIND(calloc_is_zero),
    HEDDLE_KIND(usable_size_is_exact),
    HEDDLE_KIND(alignments),
    HEDDLE_KIND(busy),
};

}  // namespace

int main(int argc, char** argv) {
  for (const kind& k : kinds) {
    if (argc == 2 && std::strcmp(argv[1], "--list") == 0) std::printf("%s\n", k.name);
    if (argc == 2 && std::strcmp(argv[1], k.name) == 0) return k.run();
  }
  return argc == 2 && std::strcmp(argv[1], "--list") == 0 ? 0 : 2;
}
