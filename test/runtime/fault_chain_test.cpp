// SPDX-License-Identifier: BSL-1.0
//
// Handlers of the program for SIGSEGV and SIGBUS beside heddle's own: set before, during and after a run, in whatever
// way. Each handler has the fault as if heddle were not there, and each fault has an end.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <thread>
#include <utility>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::testing::death_of;

/// Writes to nowhere.
[[gnu::noinline]] void fault() {
  int* nowhere = nullptr;
  asm volatile("" : "+r"(nowhere));
  *static_cast<volatile int*>(nowhere) = 1;
}

void say(const char* text) { (void)!::write(STDERR_FILENO, text, std::strlen(text)); }

std::size_t count(const std::string& text, const char* word) {
  std::size_t n = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

/// Does as crash reporters do: tells, then hands the fault on to the handler that was there before.
struct sigaction found;

void hands_on(int signal, siginfo_t* info, void* context) {
  say("[told]");
  if ((found.sa_flags & SA_SIGINFO) != 0) return found.sa_sigaction(signal, info, context);
  ::signal(signal, SIG_DFL);
}

void puts_back(int signal, siginfo_t*, void*) {
  say("[told]");
  ::sigaction(signal, &found, nullptr);
}

using information_handler = void (*)(int, siginfo_t*, void*);

void set(int signal, information_handler handler, int flags = SA_ONSTACK, struct sigaction* before = nullptr) {
  struct sigaction a {};
  a.sa_sigaction = handler;
  a.sa_flags = SA_SIGINFO | flags;
  ::sigaction(signal, &a, before);
}

struct sigaction installed(int signal) {
  struct sigaction now {};
  ::sigaction(signal, nullptr, &now);
  return now;
}

/// A process that has no handler for faults at first.
template <class F>
heddle::testing::death death_alone(F f) {
  return death_of([&] {
    ::signal(SIGSEGV, SIG_DFL);
    ::signal(SIGBUS, SIG_DFL);
    ::alarm(10);  // a fault that goes round for ever ends by another signal
    f();
  });
}

/// A fiber runs over its stack.
int deepen(int depth) {
  volatile char frame[1024];
  frame[depth % 1024] = 1;
  return depth < 0 ? 0 : deepen(depth + 1) + frame[0];
}

sigjmp_buf way_back;
void jumps_back(int, siginfo_t*, void*) { ::siglongjmp(way_back, 1); }

/// Faults and recovers n times; returns how often it recovered.
[[gnu::noinline]] int recovers(int n) {
  volatile int recovered = 0;
  while (recovered != n) {
    if (::sigsetjmp(way_back, 1) == 0)
      fault();
    else
      recovered = recovered + 1;
  }
  return recovered;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(fault_chain, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_reporter_of_an_earlier_run_is_called_once) {
  for (const information_handler reporter : {hands_on, puts_back})
    for (const int runs : {1, 2, 5, 40}) {
      const auto end = death_alone([&] {
        heddle::run([&] { set(SIGSEGV, reporter, SA_ONSTACK, &found); });
        for (int i = 1; i < runs; ++i) heddle::run([] {});
        heddle::run([] { fault(); });
      });
      BOOST_TEST(end.signal == SIGSEGV);
      BOOST_TEST(count(end.text, "[told]") == 1u);
    }
}

BOOST_AUTO_TEST_CASE(a_reporter_set_in_every_run_ends) {
  // The reporter has found itself, so it would go round without heddle too.
  for (const int runs : {2, 3, 20, 40}) {
    const auto end = death_alone([&] {
      for (int i = 0; i != runs; ++i) heddle::run([&] { set(SIGSEGV, hands_on, SA_ONSTACK, &found); });
      heddle::run([] { fault(); });
    });
    BOOST_TEST(end.signal == SIGSEGV);
    BOOST_TEST(count(end.text, "[told]") >= 1u);
  }
}

namespace {

/// One that knows the handler which was there when it was set.
template <int i>
struct one_of_many {
  static inline struct sigaction before;
  static void handler(int signal, siginfo_t* info, void* context) {
    say("[told]");
    if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(signal, info, context);
    ::signal(signal, SIG_DFL);
  }
  static void set_it() { set(SIGSEGV, handler, SA_ONSTACK, &before); }
};
template <int... i>
void set_one_in_each_run(std::integer_sequence<int, i...>) {
  (heddle::run([] { one_of_many<i>::set_it(); }), ...);
}

}  // namespace

/// Also when there are more than heddle goes on top of.
BOOST_AUTO_TEST_CASE(a_hundred_reporters_of_a_hundred_runs_are_called_once) {
  for (const bool within : {false, true}) {
    const auto end = death_alone([within] {
      set_one_in_each_run(std::make_integer_sequence<int, 100>());
      within ? heddle::run(fault) : fault();
    });
    BOOST_TEST(end.signal == SIGSEGV);
    BOOST_TEST(count(end.text, "[told]") == 100u, end.text);
  }
}

BOOST_AUTO_TEST_CASE(a_reporter_set_between_runs_or_before_them) {
  const auto early = death_alone([] {
    set(SIGSEGV, hands_on, SA_ONSTACK, &found);
    heddle::run([] {});
    heddle::run([] { fault(); });
  });
  BOOST_TEST(early.signal == SIGSEGV);
  BOOST_TEST(count(early.text, "[told]") == 1u);
  const auto between = death_alone([] {
    heddle::run([] {});
    set(SIGSEGV, hands_on, SA_ONSTACK, &found);
    heddle::run([] {});
    fault();
  });
  BOOST_TEST(between.signal == SIGSEGV);
  BOOST_TEST(count(between.text, "[told]") == 1u);
}

BOOST_AUTO_TEST_CASE(what_was_there_comes_back_and_what_came_stays) {
  struct sigaction usual_segv = installed(SIGSEGV);
  struct sigaction usual_bus = installed(SIGBUS);
  ::signal(SIGBUS, SIG_IGN);
  set(SIGSEGV, hands_on, SA_ONSTACK | SA_NODEFER);
  heddle::run([] {
    BOOST_TEST((installed(SIGSEGV).sa_sigaction != hands_on));
    BOOST_TEST((installed(SIGBUS).sa_handler != SIG_IGN));
  });
  BOOST_TEST((installed(SIGSEGV).sa_sigaction == hands_on));
  BOOST_TEST((installed(SIGSEGV).sa_flags & (SA_ONSTACK | SA_NODEFER)) == (SA_ONSTACK | SA_NODEFER));
  BOOST_TEST((installed(SIGBUS).sa_handler == SIG_IGN));
  heddle::run([] { set(SIGBUS, puts_back); });
  BOOST_TEST((installed(SIGSEGV).sa_sigaction == hands_on));  // each signal by itself
  BOOST_TEST((installed(SIGBUS).sa_sigaction == puts_back));
  heddle::run([] {});
  BOOST_TEST((installed(SIGBUS).sa_sigaction == puts_back));
  ::sigaction(SIGSEGV, &usual_segv, nullptr);
  ::sigaction(SIGBUS, &usual_bus, nullptr);
}

// --- a handler is called as the kernel would have --------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(once_if_it_asks_for_that) {
  const auto end = death_alone([] {
    set(
        SIGSEGV, [](int, siginfo_t*, void*) { say("[told]"); }, SA_RESETHAND);
    heddle::run([] { fault(); });
  });
  BOOST_TEST(end.signal == SIGSEGV);
  BOOST_TEST(count(end.text, "[told]") == 1u);
  const auto after = death_alone([] {  // the handler has had its call before the run ended
    set(
        SIGSEGV, [](int, siginfo_t*, void*) { ::siglongjmp(way_back, 1); }, SA_RESETHAND);
    heddle::run([] { recovers(1); });
    if (installed(SIGSEGV).sa_handler == SIG_DFL) say("[default]");
  });
  BOOST_TEST(after.says("[default]"));
}

BOOST_AUTO_TEST_CASE(with_the_signal_unblocked_if_it_asks_for_that) {
  const auto dies_at_once = [](int, siginfo_t*, void*) {
    ::raise(SIGSEGV);
    ::_exit(1);
  };
  const auto at_once = death_alone([&] {
    set(SIGSEGV, dies_at_once, SA_NODEFER | SA_RESETHAND);
    heddle::run([] { fault(); });
  });
  BOOST_TEST(at_once.signal == SIGSEGV);
  const auto blocked = death_alone([&] {
    set(SIGSEGV, dies_at_once, SA_RESETHAND);
    heddle::run([] { fault(); });
  });
  BOOST_TEST(blocked.status == 1);
}

BOOST_AUTO_TEST_CASE(with_its_mask) {
  const auto end = death_alone([] {
    struct sigaction a {};
    a.sa_handler = [](int signal) {  // without SA_SIGINFO
      sigset_t now;
      ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
      ::_exit(signal == SIGBUS && ::sigismember(&now, SIGUSR1) == 1 && ::sigismember(&now, SIGUSR2) == 0 ? 7 : 1);
    };
    ::sigaddset(&a.sa_mask, SIGUSR1);
    ::sigaction(SIGBUS, &a, nullptr);
    heddle::run([] { ::raise(SIGBUS); });
  });
  BOOST_TEST(end.status == 7);
}

BOOST_AUTO_TEST_CASE(not_at_all_if_the_signal_is_ignored) {
  const auto sent = death_alone([] {
    ::signal(SIGSEGV, SIG_IGN);
    heddle::run([] {
      ::raise(SIGSEGV);
      ::kill(::getpid(), SIGSEGV);
    });
    ::_exit(7);
  });
  BOOST_TEST(sent.status == 7);
  const auto real = death_alone([] {
    ::signal(SIGSEGV, SIG_IGN);
    heddle::run([] { fault(); });
  });
  BOOST_TEST(real.signal == SIGSEGV);
}

BOOST_AUTO_TEST_CASE(and_may_jump_away_again_and_again) {
  const auto end = death_alone([] {
    set(SIGSEGV, jumps_back);
    int sum = 0;
    for (int i = 0; i != 3; ++i) sum += heddle::run([] { return recovers(100); });
    heddle::run([&] { set(SIGSEGV, jumps_back); });
    heddle::run([&] {
      sum += recovers(100);
      heddle::blocking([&] { std::thread([&] { sum += recovers(100); }).join(); });
    });
    ::_exit(sum == 500 ? 7 : 1);
  });
  BOOST_TEST(end.status == 7, end.text << end.signal);
}

BOOST_AUTO_TEST_CASE(and_may_mend_what_was_wrong) {
  const auto end = death_alone([] {
    constexpr std::size_t bytes = 4096;
    static void* page = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    set(SIGSEGV, [](int, siginfo_t*, void*) { ::mprotect(page, bytes, PROT_READ | PROT_WRITE); });
    const auto write = [] {
      *static_cast<volatile char*>(page) = 1;
      ::mprotect(page, bytes, PROT_NONE);
    };
    heddle::run([&] {
      write();
      write();
      // A handler with a large frame goes on top, so ours is reached at another depth than before.
      const auto deep = [](int signal, siginfo_t* info, void* context) {
        volatile char frame[3000];
        frame[1] = 1;
        found.sa_sigaction(signal, info, context);
        frame[0] = frame[1];
      };
      set(SIGSEGV, deep, SA_ONSTACK, &found);
      write();
      write();
    });
    write();
    ::_exit(7);
  });
  BOOST_TEST(end.status == 7);
}

// --- where nobody has a handler --------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_fault_or_a_signal_kills) {
  const auto in_a_fiber = death_alone([] { heddle::run([] { fault(); }); });
  BOOST_TEST(in_a_fiber.signal == SIGSEGV);
  BOOST_TEST(in_a_fiber.text == "");
  const auto in_a_thread =
      death_alone([] { heddle::run([] { heddle::blocking([] { std::thread(fault).join(); }); }); });
  BOOST_TEST(in_a_thread.signal == SIGSEGV);
  for (const int signal : {SIGSEGV, SIGBUS}) {
    const auto sent = death_alone([&] {
      heddle::run([&] {
        ::raise(signal);
        ::_exit(1);
      });
    });
    BOOST_TEST(sent.signal == signal);
  }
  const auto of_memory = death_alone([] {  // "action optional": it does not come again by itself
    heddle::run([] {
      siginfo_t info{};
      info.si_code = BUS_MCEERR_AO;
      ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), SIGBUS, &info);
      ::_exit(1);
    });
  });
  BOOST_TEST(of_memory.signal == SIGBUS);
}

BOOST_AUTO_TEST_CASE(an_overflow_is_told_in_every_run_before_others_tell) {
  const auto end = death_alone([] {
    heddle::run([] { set(SIGSEGV, hands_on, SA_ONSTACK, &found); });
    for (int i = 0; i != 40; ++i) heddle::run([] { set(SIGBUS, hands_on); });
    heddle::run([] { heddle::spawn(heddle::fiber_options{.name = "deep"}, [] { return deepen(0); }).join(); });
  });
  BOOST_TEST(end.signal == SIGSEGV);
  BOOST_TEST(count(end.text, "heddle: stack overflow in fiber") == 1u);
  BOOST_TEST(end.text.find("stack overflow") < end.text.find("[told]"));
}

// --- in a child ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_child_dies_of_its_fault) {
  // The reporter: none; set before the runtime runs; set while it runs; the same, and puts back the one it found.
  for (const int reporter : {0, 1, 2, 3})
    for (const int runs : {0, 1, 2, 40}) {
      const auto end = death_alone([&] {
        if (reporter == 1) set(SIGSEGV, hands_on, SA_ONSTACK, &found);
        heddle::spawn([] {}).join();
        if (reporter >= 2) set(SIGSEGV, reporter == 2 ? hands_on : puts_back, SA_ONSTACK, &found);
        const pid_t child = ::fork();
        if (child == 0) {
          ::alarm(10);
          for (int i = 0; i != runs; ++i) heddle::run([] {});
          if (runs != 0) heddle::run([] { fault(); });
          fault();
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        ::_exit(WIFSIGNALED(status) ? WTERMSIG(status) : 100);
      });
      BOOST_TEST(end.status == SIGSEGV);
      BOOST_TEST(count(end.text, "[told]") == (reporter == 0 ? 0u : 1u));
    }
}

BOOST_AUTO_TEST_CASE(a_childs_runtime_gives_back_what_the_parents_found) {
  const auto end = death_alone([] {
    set(SIGSEGV, hands_on);
    heddle::spawn([] {}).join();
    const pid_t child = ::fork();
    if (child == 0) {
      heddle::run([] {});
      ::_exit(installed(SIGSEGV).sa_sigaction == hands_on && installed(SIGBUS).sa_handler == SIG_DFL ? 7 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::_exit(WEXITSTATUS(status));
  });
  BOOST_TEST(end.status == 7);
}

BOOST_AUTO_TEST_SUITE_END()
