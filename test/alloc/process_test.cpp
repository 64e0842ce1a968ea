// SPDX-License-Identifier: BSL-1.0
//
// Facts about the process that a thread must know which the program has not asked for.
#include "process.hpp"

#include <dlfcn.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <thread>

#include "os.hpp"
#include "support/death.hpp"
#include "support/scale.hpp"

namespace process = heddle::detail::process;

namespace {

thread_local volatile char large_thread_local[100'000];

/// A filter that allows everything.
bool add_filter() {
  sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  sock_fprog program{1, &allow};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// The function of the loader at which debuggers stop.
const void* code_of_loader() {
  return reinterpret_cast<const void*>(static_cast<const r_debug*>(::dlsym(RTLD_DEFAULT, "_r_debug"))->r_brk);
}

/// Ends a child with the number of the line in which a check failed.
void insist(bool so, int line) {
  if (!so) ::_exit(line);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(processes)

BOOST_AUTO_TEST_CASE(the_coarse_time_is_a_little_behind) {
  for (int i = 0; i != 1'000; ++i) {
    const auto before = heddle::detail::platform::now();
    const auto coarse = process::coarse_now();
    const auto after = heddle::detail::platform::now();
    BOOST_TEST_REQUIRE(coarse <= after);
    BOOST_TEST_REQUIRE(coarse >= before - 20'000'000);
  }
}

BOOST_AUTO_TEST_CASE(thread_locals_of_the_program_count) {
  large_thread_local[0] = 1;
  BOOST_TEST(process::thread_locals() >= sizeof large_thread_local);
  BOOST_TEST(process::thread_locals() < 50 * sizeof large_thread_local);
}

BOOST_AUTO_TEST_CASE(each_filter_of_calls_is_told) {
  const auto how = heddle::testing::death_of([] {
    errno = 77;
    const process::call_filters first = process::filters();
    insist(first != process::unknown_filters, __LINE__);
    insist(process::filters() == first && errno == 77, __LINE__);
    insist(add_filter(), __LINE__);
    const process::call_filters second = process::filters();
    insist(second != first && second != process::no_filters && second != process::unknown_filters, __LINE__);
    insist(add_filter(), __LINE__);
    insist(process::filters() != second, __LINE__);
  });
  BOOST_TEST(how.signal == 0);
  BOOST_TEST(how.status == 0, "what is said in line " << how.status << " was not so");
}

BOOST_AUTO_TEST_CASE(code_of_the_loader_is_known) {
  BOOST_TEST(heddle::detail::os::in_loader(code_of_loader()));
  BOOST_TEST(!heddle::detail::os::in_loader(reinterpret_cast<const void*>(&::getpid)));
  BOOST_TEST(!heddle::detail::os::in_loader(reinterpret_cast<const void*>(&add_filter)));
  BOOST_TEST(!heddle::detail::os::in_loader(nullptr));
}

/// The loader may be what the kernel starts; it loads the program then, as one of its arguments.
BOOST_AUTO_TEST_CASE(code_of_the_loader_is_known_where_it_starts_the_program) {
  if (heddle::testing::sanitized) return;  // their runtimes do not start so
  Dl_info loader{};
  BOOST_TEST_REQUIRE(::dladdr(code_of_loader(), &loader) != 0);
  char self[4096];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self - 1);
  BOOST_TEST_REQUIRE(n > 0);
  self[n] = '\0';
  const auto how = heddle::testing::death_of([&] {
    ::execl(loader.dli_fname, loader.dli_fname, self, "--run_test=processes/code_of_the_loader_is_known", nullptr);
    ::_exit(127);
  });
  BOOST_TEST(how.signal == 0);
  BOOST_TEST(how.status == 0, how.text);
}

/// The new thread is as the process was when it began, whatever thread makes it.
BOOST_AUTO_TEST_CASE(a_thread_is_made_normal) {
  cpu_set_t first;
  BOOST_REQUIRE(::sched_getaffinity(0, sizeof first, &first) == 0);
  cpu_set_t last{};
  for (std::size_t i = 0; i != CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &first)) continue;
    CPU_ZERO(&last);
    CPU_SET(i, &last);
  }
  std::thread([&] {
    const sched_param none{};
    BOOST_REQUIRE(::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &none) == 0);
    BOOST_REQUIRE(::sched_setaffinity(0, sizeof last, &last) == 0);
    std::atomic<bool> over{false};
    std::thread other([&over] {
      while (!over) std::this_thread::yield();
    });
    int policy = -1;
    sched_param priority{};
    cpu_set_t cpus{};
    ::pthread_getschedparam(other.native_handle(), &policy, &priority);
    BOOST_TEST(policy == SCHED_BATCH);
    errno = 77;
    process::make_normal(other.native_handle());
    BOOST_TEST(errno == 77);
    ::pthread_getschedparam(other.native_handle(), &policy, &priority);
    ::pthread_getaffinity_np(other.native_handle(), sizeof cpus, &cpus);
    over = true;
    other.join();
    BOOST_TEST(policy == SCHED_OTHER);
    BOOST_TEST(CPU_EQUAL(&cpus, &first));
  }).join();
}

BOOST_AUTO_TEST_SUITE_END()
