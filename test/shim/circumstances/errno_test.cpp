// SPDX-License-Identifier: BSL-1.0
//
// free() and all other calls that give back or only look keep errno (POSIX.1-2024), also where the kernel refuses its
// part.
#define BOOST_TEST_MODULE shim_errno
#include <malloc.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <new>
#include <thread>

#include "shim/circumstances/failing_calls.hpp"
#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

constexpr int mark = 77;
constexpr std::align_val_t at64{64};

/// Ends the process if f changes errno.
template <class F>
void keeps_errno(F f, const char* words) {
  errno = mark;
  f();
  insist(errno == mark, words);
}

constexpr std::size_t sizes[] = {0, 1, 24, 200, 1'000, 5'000, 20'000, 100'000, 700'000, 3'000'000, 40'000'000};

/// Gives back blocks of all sizes, in each way.
void give_back_in_each_way() {
  for (std::size_t n : sizes) {
    keeps_errno([p = opaque(std::malloc(n))] { std::free(p); }, "free() changed errno");
    keeps_errno([p = opaque(std::malloc(n))] { (void)opaque(::malloc_usable_size(p)); }, "malloc_usable_size() did");
    keeps_errno([p = opaque(std::malloc(n))] { (void)opaque(std::realloc(p, 0)); }, "realloc() to nothing did");
    keeps_errno([p = opaque(::operator new(n))] { ::operator delete(p); }, "delete did");
    keeps_errno([p = opaque(::operator new[](n)), n] { ::operator delete[](p, n); }, "delete[] with a size did");
    keeps_errno([p = opaque(::operator new(n, at64)), n] { ::operator delete(p, n, at64); }, "aligned delete did");
  }
}

/// Allocates so many that spans, magazines and large pieces come and go.
void give_back_many() {
  static void* blocks[30'000];
  for (std::size_t n : {24, 200, 5'000, 20'000, 100'000}) {
    const std::size_t count = std::min(std::size(blocks), 100 * MiB / n);
    for (std::size_t i = 0; i != count; ++i) blocks[i] = opaque(std::malloc(n));
    for (std::size_t i = 0; i != count; ++i)
      if (blocks[i] != nullptr) std::memset(blocks[i], 1, n);
    failing_calls::percent(100);
    for (std::size_t i = 0; i != count; ++i) keeps_errno([i] { std::free(blocks[i]); }, "one of many changed errno");
    failing_calls::percent(0);
  }
}

/// The first thing that a thread does.
void give_back_in_a_new_thread(std::size_t n) {
  void* const p = opaque(std::malloc(n));
  pthread_t thread;
  const auto body = [](void* block) -> void* {
    failing_calls::percent(100);
    keeps_errno([block] { std::free(block); }, "the first free() of a thread changed errno");
    failing_calls::percent(0);
    return nullptr;
  };
  insist(::pthread_create(&thread, nullptr, body, p) == 0, "no thread");
  ::pthread_join(thread, nullptr);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(errno_is_kept)

BOOST_AUTO_TEST_CASE(by_all_that_gives_back) { BOOST_TEST(ends_well(give_back_in_each_way)); }

BOOST_AUTO_TEST_CASE(where_the_kernel_refuses) {
  BOOST_TEST(ends_well([] {
    // There are other threads, as in programs that get one more thread, which gives memory back.
    std::atomic<bool> stop{false};
    std::thread other([&] {
      while (!stop) ::usleep(1000);
    });
    failing_calls calls({SYS_mmap, SYS_munmap, SYS_madvise, SYS_mprotect, SYS_mremap, SYS_brk, SYS_clone, SYS_clone3,
                         SYS_membarrier, SYS_getrandom, SYS_sysinfo, SYS_prlimit64});
    if (!calls.installed()) {
      stop = true;
      other.join();
      return;
    }
    give_back_many();
    for (std::size_t n : sizes) give_back_in_a_new_thread(n);
    void* held[std::size(sizes)];
    for (std::size_t i = 0; i != std::size(sizes); ++i) held[i] = opaque(std::malloc(sizes[i]));
    failing_calls::percent(100);
    for (void* p : held) keeps_errno([p] { std::free(p); }, "free() changed errno while all is refused");
    failing_calls::percent(0);
    insist(failing_calls::failed() > 0, "nothing was refused");
    ::_exit(0);
  }));
}

BOOST_AUTO_TEST_CASE(where_no_thread_is_to_be_had) {
  BOOST_TEST(ends_well([] {
    std::thread([] { ::usleep(1000); }).detach();
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(0);
    const rlimit one{1, 1};
    ::setrlimit(RLIMIT_NPROC, &one);
    static void* blocks[400];
    for (void*& p : blocks) p = opaque(std::malloc(100'000)), std::memset(p, 1, 100'000);
    for (void* p : blocks) keeps_errno([p] { std::free(p); }, "free() changed errno");
    ::_exit(0);
  }));
}

BOOST_AUTO_TEST_CASE(where_threads_wait_for_each_other) {
  BOOST_TEST(ends_well([] {
    std::vector<std::thread> threads;
    for (int t = 0; t != 4; ++t)
      threads.emplace_back([] {
        for (int i = 0; i != times(3'000, 100'000); ++i)
          for (std::size_t n : {50, 9'000, 1'100'000})
            keeps_errno([p = opaque(std::malloc(n))] { std::free(p); }, "free() beside others changed errno");
      });
    for (auto& t : threads) t.join();
  }));
}

BOOST_AUTO_TEST_SUITE_END()
