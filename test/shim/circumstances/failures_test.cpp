// SPDX-License-Identifier: BSL-1.0
//
// mmap, mremap, munmap, madvise, mprotect and brk fail now and then: NULL with ENOMEM or nothing at all, never a crash,
// and no byte of a living block is lost. (mimalloc#257: row 22.)
#define BOOST_TEST_MODULE shim_failures
#include <pthread.h>
#include <sys/syscall.h>

#include "shim/circumstances/failing_calls.hpp"
#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

struct held {
  void* at;
  std::size_t size;
};

void check(const held& h) { insist(!h.at || holds(h.at, h.size), "a block lost its bytes"); }

void* some_block(dice& d, std::size_t n) {
  errno = 0;
  void* p = nullptr;
  switch (d.below(4)) {
    case 0: p = opaque(std::calloc(1, n)); break;
    case 1: errno = ::posix_memalign(&p, std::size_t{16} << d.below(14), n); break;
    default: p = opaque(std::malloc(n));
  }
  insist(p || errno == ENOMEM, "NULL came without ENOMEM");
  return p;
}

void renew(held& h, dice& d) {
  const std::size_t n = some_size(d, d.below(8) ? 14 : 22);
  if (h.at && d.below(3) == 0) {
    errno = 0;
    void* p = opaque(std::realloc(h.at, n));
    insist(p || errno == ENOMEM, "NULL came without ENOMEM");
    if (!p) return check(h);
    insist(holds(p, std::min(n, h.size), h.size), "realloc lost bytes");
    h = {p, n};
  } else {
    std::free(h.at);
    h = {some_block(d, n), n};
  }
  if (h.at) fill(h.at, h.size);
}

/// A life of 1,000 blocks; the argument is the seed.
void* live(void* seed) {
  dice d(reinterpret_cast<std::uintptr_t>(seed));
  held blocks[100] = {};
  for (int i = 0; i != 1000; ++i) {
    held& h = blocks[d.below(std::size(blocks))];
    check(h);
    renew(h, d);
  }
  for (held& h : blocks) check(h), std::free(h.at);
  return nullptr;
}

/// Threads that may not come to be either; each one's first malloc may find no memory for its cache.
void live_in_threads(int count) {
  // Small stacks: of those glibc keeps enough that it never unmaps one, which it cannot bear to fail.
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, std::size_t{256} << 10);
  pthread_t threads[8];
  bool started[8];
  for (int done = 0; done < count; done += 8) {
    for (int t = 0; t != 8; ++t)
      started[t] =
          ::pthread_create(&threads[t], &attributes, live, reinterpret_cast<void*>(std::uintptr_t(done + t))) == 0;
    for (int t = 0; t != 8; ++t)
      if (started[t]) ::pthread_join(threads[t], nullptr);
  }
}

void survive(std::initializer_list<int> calls, int percent) {
  static bool skipped;
  if (skipped) return;
  const death how = fate_of([&] {
    const failing_calls calls_that_fail(calls);
    if (!calls_that_fail.installed()) ::_exit(77);
    failing_calls::percent(percent);
    live_in_threads(times(8, 64));
    failing_calls::percent(0);
    for (int i = 0; i != 100; ++i) {
      void* p = opaque(std::malloc(MiB));
      insist(p, "no memory, though nothing fails any more");
      std::free(p);
    }
    live_in_threads(8);
    insist(resident_bytes() < 600 * MiB, "memory was lost");
  });
  if (how.status == 77) {
    skipped = true;
    BOOST_TEST_MESSAGE("SKIPPED: seccomp cannot be asked to notify here");
    return;
  }
  BOOST_TEST_CONTEXT(percent << " % fail: " << how.text << ", signal " << how.signal)
  BOOST_TEST((how.signal == 0 && how.status == 0));
}

/// With one share of failures, in the full run also with others.
void expect_survival(std::initializer_list<int> calls, int percent, std::initializer_list<int> others) {
  survive(calls, percent);
  if (times(0, 1))
    for (int other : others) survive(calls, other);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(failures)

BOOST_AUTO_TEST_CASE(of_mmap) { expect_survival({SYS_mmap, SYS_brk}, 10, {1, 50}); }
BOOST_AUTO_TEST_CASE(of_mremap) { expect_survival({SYS_mremap}, 100, {1, 10}); }
BOOST_AUTO_TEST_CASE(of_munmap) { expect_survival({SYS_munmap}, 10, {1}); }
BOOST_AUTO_TEST_CASE(of_madvise) { expect_survival({SYS_madvise}, 100, {1, 10}); }
BOOST_AUTO_TEST_CASE(of_mprotect) { expect_survival({SYS_mprotect}, 10, {1}); }
BOOST_AUTO_TEST_CASE(of_all_of_them) {
  expect_survival({SYS_mmap, SYS_brk, SYS_mremap, SYS_munmap, SYS_madvise, SYS_mprotect}, 10, {1});
}

BOOST_AUTO_TEST_SUITE_END()
