// SPDX-License-Identifier: BSL-1.0
//
// thorough [zero|junk] [exact]: calls every function of the family in ways that are all right, by several threads and
// by children, and looks at each block: alignment, usable size, contents. Prints "right", or ends with status 1 and
// says what was not. To be run under each choice of options; the arguments tell what these promise beyond the rest:
// that new memory is zeroed, or full of 0xa5 and freed memory of 0x5a; that the usable size is the one asked for.
#include <dlfcn.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

namespace {

struct {
  bool zero, junk, exact;
} promised;

[[noreturn]] void fail(const char* what, const char* who, std::size_t n) {
  std::fprintf(stderr, "thorough: %s: %s, %zu bytes\n", who, what, n);
  std::_Exit(1);
}
void insist(bool condition, const char* what, const char* who, std::size_t n) {
  if (!condition) fail(what, who, n);
}

/// The compiler shall not know where a pointer comes from.
template <class T>
T* hide(T* p) {
  asm volatile("" : "+r"(p) : : "memory");
  return p;
}

bool all_are(const void* block, int value, std::size_t n) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  return n == 0 || (bytes[0] == value && std::memcmp(bytes, bytes + 1, n - 1) == 0);
}

// --- every way to get a block, and to give it back ----------------------------------------------------------------

void* by_posix_memalign(std::size_t n) {
  void* p = nullptr;
  return ::posix_memalign(&p, 64, n) == 0 ? p : nullptr;
}

template <class F>
F* function(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_DEFAULT, name));
}
// Not declared by this glibc; free() where nobody supplies them.
void by_free_sized(void* p, std::size_t n) {
  static auto* const f = function<void(void*, std::size_t)>("free_sized");
  f ? f(p, n) : std::free(p);
}
void by_free_aligned_sized(void* p, std::size_t n) {
  static auto* const f = function<void(void*, std::size_t, std::size_t)>("free_aligned_sized");
  f ? f(p, 64, n) : std::free(p);
}
void by_cfree(void* p, std::size_t) {
  static auto* const f = function<void(void*)>("cfree");
  f ? f(p) : std::free(p);
}
void by_free(void* p, std::size_t) { std::free(p); }

struct way {
  const char* name;
  void* (*get)(std::size_t n);
  void (*give)(void* p, std::size_t n);
  std::size_t alignment = 16;
  bool zeroed = false;
  bool whole_pages = false;
};

constexpr std::align_val_t at64{64};
constexpr std::align_val_t at8192{8192};

constexpr way ways[] = {
    {"malloc, free", [](std::size_t n) { return std::malloc(n); }, by_free},
    {"malloc, free_sized", [](std::size_t n) { return std::malloc(n); }, by_free_sized},
    {"malloc, cfree", [](std::size_t n) { return std::malloc(n); }, by_cfree},
    {"calloc", [](std::size_t n) { return std::calloc(1, n); }, by_free, 16, true},
    {"calloc of bytes", [](std::size_t n) { return std::calloc(n, 1); }, by_free, 16, true},
    {"realloc of NULL", [](std::size_t n) { return std::realloc(nullptr, n); }, by_free},
    {"reallocarray of NULL", [](std::size_t n) { return ::reallocarray(nullptr, n, 1); }, by_free},
    {"posix_memalign", by_posix_memalign, by_free, 64},
    {"aligned_alloc", [](std::size_t n) { return ::aligned_alloc(64, n); }, by_free_aligned_sized, 64},
    {"memalign", [](std::size_t n) { return ::memalign(16'384, n); }, by_free, 16'384},
    {"valloc", [](std::size_t n) { return ::valloc(n); }, by_free, 4096},
    {"pvalloc", [](std::size_t n) { return ::pvalloc(n); }, by_free, 4096, false, true},
    {"new", [](std::size_t n) { return ::operator new(n); }, [](void* p, std::size_t) { ::operator delete(p); }},
    {"new, sized delete", [](std::size_t n) { return ::operator new(n); },
     [](void* p, std::size_t n) { ::operator delete(p, n); }},
    {"new[], sized delete[]", [](std::size_t n) { return ::operator new[](n); },
     [](void* p, std::size_t n) { ::operator delete[](p, n); }},
    {"nothrow new", [](std::size_t n) { return ::operator new(n, std::nothrow); },
     [](void* p, std::size_t) { ::operator delete(p, std::nothrow); }},
    {"aligned new", [](std::size_t n) { return ::operator new(n, at64); },
     [](void* p, std::size_t n) { ::operator delete(p, n, at64); }, 64},
    {"aligned new[] beyond a page", [](std::size_t n) { return ::operator new[](n, at8192); },
     [](void* p, std::size_t) { ::operator delete[](p, at8192); }, 8192},
    {"aligned nothrow new", [](std::size_t n) { return ::operator new(n, at64, std::nothrow); },
     [](void* p, std::size_t) { ::operator delete(p, at64, std::nothrow); }, 64},
};

constexpr std::size_t sizes[] = {
    0,      1,      8,      16,     17,      24,      48,      100,           128,      129,
    200,    1000,   1024,   1025,   4096,    5000,    16'000,  40'000,        65'000,   65'519,
    65'520, 65'521, 65'536, 70'000, 262'144, 300'000, 1 << 20, (1 << 20) + 1, 3'000'000};
constexpr std::size_t huge = 33 << 20;  // where each block has a mapping of its own

void check_new(const way& w, void* p, std::size_t n) {
  const std::size_t size = w.whole_pages ? (n + 4095) / 4096 * 4096 : n;
  insist(p != nullptr, "no block", w.name, n);
  insist(reinterpret_cast<std::uintptr_t>(p) % w.alignment == 0, "not aligned", w.name, n);
  const std::size_t usable = ::malloc_usable_size(p);
  insist(usable >= size, "less is usable than was asked for", w.name, n);
  if (promised.exact && n != 0) insist(usable == size, "usable is not what was asked for", w.name, n);
  if (w.zeroed || promised.zero) {
    insist(all_are(p, 0, n), "not zeroed", w.name, n);
  } else if (promised.junk) {
    insist(all_are(p, 0xa5, n), "not full of 0xa5", w.name, n);
  }
}

/// Some blocks at once, twice: the second time where others have written.
void use(const way& w, std::size_t n) {
  constexpr int most = 3;
  const int count = n < 300'000 ? most : 1;
  for (int round = 0; round != 2; ++round) {
    void* blocks[most];
    std::size_t usable[most];
    for (int i = 0; i != count; ++i) {
      check_new(w, blocks[i] = hide(w.get(n)), n);
      usable[i] = ::malloc_usable_size(blocks[i]);
      std::memset(blocks[i], 'a' + i, usable[i]);
    }
    for (int i = 0; i != count; ++i) {
      insist(all_are(blocks[i], 'a' + i, usable[i]), "written by another", w.name, n);
      w.give(blocks[i], n);
    }
  }
}

void every_way() {
  for (const way& w : ways)
    for (const std::size_t n : sizes) use(w, n);
  for (const way& w : {ways[0], ways[3], ways[7]}) use(w, huge);
  std::free(nullptr);
}

void every_alignment() {
  for (std::size_t alignment = 8; alignment <= (std::size_t{4} << 20); alignment *= 2)
    for (const std::size_t n : {0, 1, 100, 4096, 100'000}) {
      void* p = nullptr;
      const way w{"posix_memalign", nullptr, nullptr, alignment};
      insist(::posix_memalign(&p, alignment, n) == 0, "refused", w.name, n);
      check_new(w, hide(p), n);
      std::memset(p, 'x', n);
      std::free(p);
    }
}

// --- realloc ------------------------------------------------------------------------------------------------------

/// In one block, what was written stays; in one of which only the first byte was written the rest is as if new.
void grow() {
  constexpr const char* who = "realloc upwards";
  std::size_t n = 10;
  char* full = hide(static_cast<char*>(std::malloc(n)));
  char* bare = hide(static_cast<char*>(std::malloc(n)));
  std::memset(full, 'x', n);
  for (; n < (std::size_t{12} << 20); n *= 3) {
    full = hide(static_cast<char*>(std::realloc(full, n * 3)));
    bare = hide(static_cast<char*>(std::realloc(bare, n * 3)));
    insist(full && bare, "no block", who, n * 3);
    insist(all_are(full, 'x', n), "bytes were lost", who, n * 3);
    std::memset(full, 'x', n * 3);
    bare[0] = 'y';
    insist(!promised.zero || all_are(bare + 1, 0, n * 3 - 1), "not zeroed", who, n * 3);
  }
  std::free(bare);
  for (; n > 10; n = n * 2 / 3) {
    full = hide(static_cast<char*>(std::realloc(full, n)));
    insist(full != nullptr, "no block", "realloc downwards", n);
    insist(all_are(full, 'x', n), "bytes were lost", "realloc downwards", n);
    insist(!promised.exact || ::malloc_usable_size(full) == n, "usable is not what was asked for", "realloc", n);
  }
  std::free(full);
}

void from_each_size_to_each() {
  for (const std::size_t from : sizes)
    for (const std::size_t to : sizes) {
      if (from + to > 600'000 && (from + to) % 3 != 0) continue;  // a part of those will do
      char* p = hide(static_cast<char*>(std::malloc(from)));
      insist(p != nullptr, "no block", "malloc", from);
      std::memset(p, 'x', from);
      p = hide(static_cast<char*>(to % 2 ? std::realloc(p, to) : ::reallocarray(p, to, 1)));
      insist(to == 0 || p != nullptr, "no block", "realloc", to);
      insist(all_are(p, 'x', p ? std::min(from, to) : 0), "bytes were lost", "realloc", to);
      std::free(p);
    }
}

void freed_is_junk() {
  if (!promised.junk) return;
  char* p = hide(static_cast<char*>(std::malloc(200)));
  std::memset(p, 'x', 200);
  std::free(p);
  // At the beginning may be a link to the next free block.
  insist(all_are(hide(p) + 16, 0x5a, 200 - 16), "freed, but not full of 0x5a", "free", 200);
}

void too_much_is_refused() {
  char* p = hide(static_cast<char*>(std::malloc(100)));
  std::memset(p, 'x', 100);
  for (const std::size_t n : {std::size_t{PTRDIFF_MAX}, SIZE_MAX - 4096, SIZE_MAX, std::size_t{1} << 48}) {
    const auto refused = [n](const void* q, const char* who) {
      insist(q == nullptr && errno == ENOMEM, "not refused with ENOMEM", who, n);
    };
    errno = 0, refused(hide(std::malloc(n)), "malloc");
    errno = 0, refused(hide(std::calloc(n, 3)), "calloc");
    errno = 0, refused(hide(std::realloc(p, n)), "realloc");
    errno = 0, refused(hide(::aligned_alloc(64, n)), "aligned_alloc");
    insist(::operator new(n, std::nothrow) == nullptr, "not refused", "nothrow new", n);
  }
  insist(all_are(p, 'x', 100), "bytes were lost", "a realloc that was refused", 100);
  std::free(p);
}

// --- threads and children -----------------------------------------------------------------------------------------

/// What a block that wanders between threads begins with.
struct header {
  std::size_t size;
};
std::atomic<header*> exchange_place[256];

header* make_wanderer(std::size_t n) {
  auto* const p = static_cast<header*>(hide(std::malloc(n + sizeof(header))));
  insist(p != nullptr, "no block", "a thread", n);
  p->size = n;
  std::memset(p + 1, static_cast<int>(n & 0x7f), n);
  return p;
}
void end_wanderer(header* p) {
  if (p == nullptr) return;
  insist(all_are(p + 1, static_cast<int>(p->size & 0x7f), p->size), "written by another", "a thread", p->size);
  // Through each of the ways that need no size.
  p->size % 3 == 0 ? ::operator delete(p) : std::free(p);
}

void wander(unsigned seed) {
  std::uint64_t random = seed * 0x9e3779b97f4a7c15u + 1;
  for (int i = 0; i != 4000; ++i) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    const std::size_t n = random % (i % 100 == 0 ? 300'000 : i % 10 == 0 ? 8000 : 400);
    header* p = make_wanderer(n);
    if (i % 7 == 0) {
      p = static_cast<header*>(hide(std::realloc(p, n / 2 + sizeof(header))));
      insist(p != nullptr, "no block", "a thread", n / 2);
      insist(all_are(p + 1, static_cast<int>(n & 0x7f), n / 2), "bytes were lost", "a thread", n / 2);
      std::free(p);
      p = make_wanderer(n);
    }
    end_wanderer(exchange_place[random >> 56].exchange(p));
  }
}

/// The same as the parent's threads, alone.
void live_as_child() {
  ::alarm(60);
  for (auto& place : exchange_place) end_wanderer(place.exchange(nullptr));
  wander(99);
  std::thread(wander, 98u).join();
  for (auto& place : exchange_place) end_wanderer(place.exchange(nullptr));
  ::_exit(0);
}

void threads_and_children() {
  for (unsigned round = 0; round != 3; ++round) {
    std::thread threads[4];
    for (unsigned t = 0; t != 4; ++t) threads[t] = std::thread(wander, round * 4 + t);
    const pid_t child = ::fork();
    if (child == 0) live_as_child();
    insist(child > 0, "no child", "fork", 0);
    for (std::thread& t : threads) t.join();
    int status = -1;
    ::waitpid(child, &status, 0);
    insist(status == 0, "the child failed", "fork", static_cast<std::size_t>(status));
    ::malloc_trim(0);
  }
  for (auto& place : exchange_place) end_wanderer(place.exchange(nullptr));
}

// --- no memory ----------------------------------------------------------------------------------------------------

struct node {
  node* next;
};

void until_there_is_none(std::size_t n) {
  node* all = nullptr;
  node* p = nullptr;
  while (errno = 0, (p = static_cast<node*>(hide(std::malloc(n)))) != nullptr) {
    p->next = all;
    all = p;
  }
  insist(errno == ENOMEM, "NULL without ENOMEM", "malloc", n);
  errno = 0;
  insist(hide(std::calloc(1, n)) == nullptr && errno == ENOMEM, "not NULL with ENOMEM", "calloc", n);
  insist(all != nullptr, "no block at all", "malloc", n);
  while (all != nullptr) std::free(std::exchange(all, all->next));
}

/// Only where `ulimit -v` has set an end that is near.
void the_end_of_memory() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur > std::size_t{1} << 30) return;
  // Large ones first: hardened, those are no part of the heap, which keeps its addresses.
  for (const std::size_t n : {3'000'000, 100'000, 5000, 100}) {
    until_there_is_none(n);
    use(ways[0], n);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i != argc; ++i) {
    if (std::strcmp(argv[i], "zero") == 0)
      promised.zero = true;
    else if (std::strcmp(argv[i], "junk") == 0)
      promised.junk = true;
    else if (std::strcmp(argv[i], "exact") == 0)
      promised.exact = true;
    else
      return std::fputs("Usage: thorough [zero|junk] [exact]\n", stderr), 2;
  }
  every_way();
  every_alignment();
  grow();
  from_each_size_to_each();
  freed_is_junk();
  too_much_is_refused();
  threads_and_children();
  the_end_of_memory();
  return std::puts("right") < 0;
}
