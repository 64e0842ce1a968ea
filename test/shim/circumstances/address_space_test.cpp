// SPDX-License-Identifier: BSL-1.0
//
// The heap takes as much of the process's addresses as it uses. So limits that are drawn later leave it the rest,
// mlockall() locks only used memory, a program may have much more than there is of memory if it touches little of it,
// and other mappings are in nobody's way. (hardened_malloc#128, #235; secureblue#1494.)
#define BOOST_TEST_MODULE shim_address_space
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

std::size_t address_space() { return status_bytes("VmSize:"); }

void limit_to(std::size_t bytes) {
  const rlimit limit{bytes, bytes};
  insist(::setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit failed");
}

struct node {
  node* next;
};

/// Blocks until there is no memory, each page of them touched.
node* take_all(std::size_t size, std::size_t& bytes) {
  node* all = nullptr;
  for (bytes = 0;; bytes += size) {
    errno = 0;
    auto* const p = static_cast<node*>(opaque(std::malloc(size)));
    if (p == nullptr) break;
    for (std::size_t i = 0; i < size; i += 4 * KiB) reinterpret_cast<char*>(p)[i] = 1;
    p->next = all;
    all = p;
  }
  insist(errno == ENOMEM, "NULL came without ENOMEM");
  return all;
}

void give_all(node* all) {
  while (all != nullptr) std::free(std::exchange(all, all->next));
}

/// Maps something else behind each mapping that there is, where nothing is yet.
int obstruct_all() {
  static std::array<char, MiB> text;
  const int file = ::open("/proc/self/maps", O_RDONLY);
  std::size_t length = 0;
  for (ssize_t n; (n = ::read(file, text.data() + length, text.size() - 1 - length)) > 0;)
    length += static_cast<std::size_t>(n);
  ::close(file);
  text[length] = 0;
  int made = 0;
  for (const char* line = text.data(); line != nullptr && *line != 0;) {
    const char* const dash = std::strchr(line, '-');
    if (dash == nullptr) break;
    auto* const end = reinterpret_cast<void*>(std::strtoull(dash + 1, nullptr, 16));
    made += ::mmap(end, 4 * KiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == end;
    line = std::strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return made;
}

/// Why the process may not have 600 GiB; empty: it may.
std::string why_not_much() {
  int overcommit = 0;
  std::ifstream("/proc/sys/vm/overcommit_memory") >> overcommit;
  if (overcommit == 2) return "vm.overcommit_memory is 2: what is not touched counts too";
  rlimit now{};
  ::getrlimit(RLIMIT_AS, &now);
  return now.rlim_cur == RLIM_INFINITY ? "" : "the address space is limited (ulimit -v)";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(addresses)

// Hardened, blocks of 0 bytes have their own addresses. This test is first, as the process has none yet.
BOOST_AUTO_TEST_CASE(blocks_of_no_bytes_take_few) {
  BOOST_TEST(ends_well([] {
    static std::array<void*, 150'000> all;
    const std::size_t before = address_space();
    std::free(opaque(std::malloc(0)));
    insist(address_space() - before < 8 * MiB, "one took many");
    for (void*& p : all) insist((p = opaque(std::malloc(0))) != nullptr, "there are no more");
    std::sort(all.begin(), all.end());
    insist(std::adjacent_find(all.begin(), all.end()) == all.end(), "two are the same");
    for (void* p : all) std::free(p);
    for (void*& p : all) insist((p = opaque(std::malloc(0))) != nullptr, "they cannot be had again");
    insist(address_space() - before < 16 * MiB, "freed ones are not used again");
    for (void* p : all) std::free(p);
  }));
}

BOOST_AUTO_TEST_CASE(a_small_program_has_few) {
  std::free(opaque(std::malloc(100)));
  std::free(opaque(std::malloc(0)));
  BOOST_TEST(address_space() < 64 * MiB);
}

BOOST_AUTO_TEST_CASE(a_limit_that_is_drawn_later_leaves_the_rest) {
  struct use {
    std::size_t limit, size;
  };
  for (const auto [limit, size] : {use{64 * MiB, 100}, {64 * MiB, 5'000}, {64 * MiB, 3'000'000}, {256 * MiB, 100'000}})
    BOOST_TEST_CONTEXT("limit of " << limit / MiB << " MiB, blocks of " << size)
  BOOST_TEST(ends_well([limit = limit, size = size] {
    std::free(opaque(std::malloc(100)));
    const std::size_t before = address_space();
    limit_to(limit);
    std::size_t bytes = 0;
    node* const all = take_all(size, bytes);
    // Hardened, the margins around a block of 100 bytes are more than a quarter.
    insist(bytes > (limit - before) * (hardened() ? 65 : 85) / 100 - 4 * MiB, "most of it was refused");
    give_all(all);
    std::size_t again = 0;
    give_all(take_all(size, again));
    insist(again > bytes * 9 / 10, "what was freed cannot be had again");
  }));
}

BOOST_AUTO_TEST_CASE(a_limit_below_what_there_is_refuses_more) {
  BOOST_TEST(ends_well([] {
    std::array<void*, 2000> all;
    for (void*& p : all) insist((p = opaque(std::malloc(50'000))) != nullptr, "no memory though there is no limit");
    for (void* p : all) fill(p, 50'000);
    limit_to(16 * MiB);
    errno = 0;
    insist(opaque(std::malloc(200 * MiB)) == nullptr && errno == ENOMEM, "more was given than there may be");
    for (void* p : all) insist(holds(p, 50'000), "a block lost its bytes");
    for (void* p : all) std::free(p);
    for (void*& p : all) insist((p = opaque(std::malloc(50'000))) != nullptr, "what was freed cannot be had again");
    for (void* p : all) std::free(p);
  }));
}

// Hardened, the addresses of freed large blocks are kept closed for a while, unless others get none.
BOOST_AUTO_TEST_CASE(what_small_blocks_had_serves_huge_ones) {
  BOOST_TEST(ends_well([] {
    constexpr std::size_t n = 40'000'000;
    limit_to(address_space() + 256 * MiB);
    std::size_t bytes = 0;
    give_all(take_all(2'000'000, bytes));
    insist(bytes >= 128 * MiB, "half of the limit could not be had");
    auto* p = static_cast<char*>(opaque(std::malloc(n)));
    insist(p != nullptr, "a huge block was refused");
    insist(::malloc_usable_size(p) >= n, "it is smaller than it should be");
    fill(p, n);
    for (std::size_t size : {n + 10'000'000, n + 2'000'000, n, n - 20'000'000, n + 5'000'000}) {
      auto* const q = static_cast<char*>(opaque(std::realloc(p, size)));
      insist(q != nullptr, "it cannot change its size");
      insist(holds(q, n - 20'000'000, n), "its contents have changed");
      insist(::malloc_usable_size(q) >= size, "it is smaller than it should be");
      p = q;
    }
    ::operator delete(p, n + 5'000'000);
    auto* const zeroed = static_cast<char*>(opaque(std::calloc(n, 1)));
    insist(zeroed != nullptr, "zeroed, it was refused");
    insist(std::all_of(zeroed, zeroed + n, [](char c) { return c == 0; }), "calloc: not zero");
    std::free(zeroed);
    void* const aligned = opaque(std::aligned_alloc(MiB, 40 * MiB));
    insist(aligned != nullptr && reinterpret_cast<std::uintptr_t>(aligned) % MiB == 0, "aligned, it was refused");
    std::free(aligned);
    give_all(take_all(2'000'000, bytes));
    insist(bytes >= 128 * MiB, "what a huge block had is lost");
    ::_exit(0);
  }));
}

BOOST_AUTO_TEST_CASE(what_is_kept_out_of_use_is_given_up_for_others) {
  BOOST_TEST(ends_well([] {
    for (int i = 0; i != 40; ++i) std::free(opaque(std::malloc(20 * MiB)));
    std::free(opaque(std::malloc(100)));
    limit_to(address_space() + MiB);
    std::array<void*, 500> all;
    for (void*& p : all) insist((p = opaque(std::malloc(20'000))) != nullptr, "no memory");
    for (void* p : all) std::free(p);
    for (std::size_t size : {1'000ul, 50'000ul, 15 * MiB}) {
      void* const p = opaque(std::malloc(size));
      insist(p != nullptr, "no memory beside what is kept out of use");
      std::free(p);
    }
  }));
}

BOOST_AUTO_TEST_CASE(a_limit_counts_for_what_is_kept_out_of_use_later) {
  BOOST_TEST(ends_well([] {
    std::free(opaque(std::malloc(100'000)));
    limit_to(400 * MiB);
    const std::size_t before = address_space();
    for (int i = 0; i != 200; ++i) std::free(opaque(std::malloc(4 * MiB)));
    insist(address_space() - before < 60 * MiB, "most of what there may be is kept out of use");
  }));
}

BOOST_AUTO_TEST_CASE(what_is_locked_is_what_is_used) {
  const death how = fate_of([] {
    std::free(opaque(std::malloc(100)));
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) ::_exit(77);
    const std::size_t before = status_bytes("VmLck:");
    insist(before < 64 * MiB, "more is locked than a small program has");
    std::array<void*, 20'000> all;
    for (void*& p : all) insist((p = opaque(std::malloc(2'500))) != nullptr, "no memory");
    insist(status_bytes("VmLck:") - before < (hardened() ? 160 : 80) * MiB, "50 MB of blocks locked much more");
    void* const large = opaque(std::malloc(3'000'000));
    insist(large != nullptr, "no memory for a large block");
    std::memset(large, 1, 3'000'000);
    std::free(large);
    std::thread([] { std::free(opaque(std::malloc(100))); }).join();
    for (void* p : all) std::free(p);
  });
  if (how.status == 77) {
    BOOST_TEST_MESSAGE("SKIPPED: mlockall() is not allowed here");
    return;
  }
  BOOST_TEST_CONTEXT(how.text << ", signal " << how.signal) BOOST_TEST((how.signal == 0 && how.status == 0));
}

// Each of these moves the pages of a large block, if it can.
BOOST_AUTO_TEST_CASE(what_is_locked_stays_locked) {
  constexpr std::size_t large = 3 * MiB;
  const auto is_locked = [](void* p) {
    const std::uintptr_t page = reinterpret_cast<std::uintptr_t>(p) & ~std::uintptr_t{4095};
    return ::msync(reinterpret_cast<void*>(page), 4096, MS_ASYNC | MS_INVALIDATE) != 0 && errno == EBUSY;
  };
  for (const int flags : {MCL_CURRENT, MCL_CURRENT | MCL_FUTURE, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT})
    BOOST_TEST_CONTEXT("mlockall(" << flags << ")") {
      const death how = fate_of([&] {
        void* const small = opaque(std::malloc(100));
        void* p = opaque(std::malloc(large));
        void* const behind = opaque(std::malloc(large));  // so that p cannot grow where it is
        std::memset(p, 1, large);
        if (::mlockall(flags) != 0) ::_exit(77);
        insist(is_locked(small) && is_locked(behind), "mlockall() has locked nothing");
        for (std::size_t size = 2 * large; size <= 6 * large; size += large) {
          p = opaque(std::realloc(p, size));
          insist(p != nullptr && static_cast<char*>(p)[large - 1] == 1, "it has lost what was in it");
          insist(is_locked(small) && is_locked(behind), "realloc() has unlocked other blocks");
          insist(is_locked(p) || (flags & MCL_FUTURE) == 0, "the block is not locked any more");
        }
        std::free(p);
        insist(is_locked(small) && is_locked(behind), "free() has unlocked other blocks");
      });
      if (how.status == 77) {
        BOOST_TEST_MESSAGE("SKIPPED: mlockall() is not allowed here");
        return;
      }
      BOOST_TEST_CONTEXT(how.text << ", signal " << how.signal) BOOST_TEST((how.signal == 0 && how.status == 0));
    }
}

BOOST_AUTO_TEST_CASE(locked_blocks_of_the_program_do_not_concern_others) {
  const death how = fate_of([] {
    void* const other = opaque(std::malloc(3 * MiB));
    void* p = opaque(std::malloc(3 * MiB));
    void* const behind = opaque(std::malloc(3 * MiB));
    std::memset(p, 1, 3 * MiB);
    if (::mlock(other, 2 * MiB) != 0) ::_exit(77);
    p = opaque(std::realloc(p, 9 * MiB));
    insist(p != nullptr && static_cast<char*>(p)[3 * MiB - 1] == 1, "it has lost what was in it");
    insist(::munlock(other, 2 * MiB) == 0, "it cannot be unlocked");
    p = opaque(std::realloc(p, 20 * MiB));
    insist(p != nullptr && static_cast<char*>(p)[3 * MiB - 1] == 1, "it has lost what was in it");
    for (void* const q : {other, p, behind}) std::free(q);
  });
  if (how.status != 77)
    BOOST_TEST_CONTEXT(how.text << ", signal " << how.signal) BOOST_TEST((how.signal == 0 && how.status == 0));
}

// A byte of each 50th block is touched, so it takes no time. The blocks need more addresses than a window once had.
BOOST_AUTO_TEST_CASE(much_that_is_hardly_touched) {
  if (const std::string why = why_not_much(); !why.empty()) {
    BOOST_TEST_MESSAGE("SKIPPED: " << why);
    return;
  }
  for (std::size_t size : {GiB, 20 * MiB}) BOOST_TEST_CONTEXT("blocks of " << size / MiB << " MiB")
  BOOST_TEST(ends_well([size] {
    static std::array<char*, 30 * 1024> all;
    const std::size_t count = 600 * GiB / size, each = count / 600;
    for (std::size_t i = 0; i != count; ++i) {
      insist((all[i] = static_cast<char*>(opaque(std::malloc(size)))) != nullptr, "no memory");
      if (i % each == 0) all[i][i * 4 * KiB % size] = static_cast<char>(i % 100 + 1);
    }
    insist(address_space() > 600 * GiB, "that cannot be");
    insist(resident_bytes() < 256 * MiB, "what is not touched takes memory");
    for (std::size_t i = 0; i < count; i += each)
      insist(all[i][i * 4 * KiB % size] == static_cast<char>(i % 100 + 1), "a byte was lost");
    for (std::size_t i = 0; i != count; ++i) std::free(all[i]);
    void* const p = opaque(std::malloc(100));
    insist(p != nullptr, "no memory after all was freed");
    std::free(p);
  }));
}

// Another mapping may be wherever the heap, or its records, would go on.
BOOST_AUTO_TEST_CASE(others_may_be_in_the_way) {
  BOOST_TEST(ends_well([] {
    constexpr std::size_t rounds = 8, each = 400;
    struct held {
      void* at;
      std::size_t size;
    };
    static std::array<held, rounds * each> all;
    dice d(1);
    for (std::size_t i = 0; i != all.size(); ++i) {
      if (i % each == 0) insist(obstruct_all() > 5, "nothing is in the way");
      const std::size_t n = i % 5 == 0 ? 100'000 : some_size(d, 14);
      all[i] = {opaque(std::malloc(n)), n};
      insist(all[i].at != nullptr, "no memory");
      fill(all[i].at, n);
    }
    for (std::size_t i = 0; i < all.size(); i += 3) {
      all[i].at = opaque(std::realloc(all[i].at, 2 * all[i].size));
      insist(all[i].at != nullptr && holds(all[i].at, all[i].size, all[i].size), "realloc lost bytes");
    }
    const auto free_all = [] {
      for (const held& h : all) insist(holds(h.at, h.size), "a block lost its bytes");
      for (const held& h : all) std::free(h.at);
    };
    const pid_t child = ::fork();
    if (child == 0) {
      free_all();
      ::_exit(0);
    }
    int status = 1;
    insist(::waitpid(child, &status, 0) == child && status == 0, "a child could not free them");
    std::thread(free_all).join();
  }));
}

BOOST_AUTO_TEST_SUITE_END()
