// SPDX-License-Identifier: BSL-1.0
//
// The same calls beside what processes and threads do: signals, forks, cancellation.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "alone.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace blocking_calls_test;

std::atomic<int> handled{0};

/// A handler for SIGUSR1 that ends calls, without SA_RESTART.
class interrupter {
 public:
  interrupter() {
    struct sigaction a {};
    a.sa_handler = [](int) { ++handled; };
    a.sa_flags = SA_ONSTACK;
    ::sigaction(SIGUSR1, &a, &before_);
    handled = 0;
  }
  ~interrupter() { ::sigaction(SIGUSR1, &before_, nullptr); }
  interrupter(const interrupter&) = delete;
  interrupter& operator=(const interrupter&) = delete;

 private:
  struct sigaction before_ {};
};

/// pthread_self() is a constant function for compilers, but a fiber may have moved since they called it last.
[[gnu::noinline]] pthread_t this_thread() {
  asm volatile("");
  return ::pthread_self();
}

/// f(), a call of a fiber; another one sends its thread signals until the call has ended.
template <class F>
void interrupted(F f) {
  const pthread_t thread = this_thread();
  std::atomic<bool> over{false};
  auto sender = heddle::spawn([&] {
    while (!over) {
      ::pthread_kill(thread, SIGUSR1);
      heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
    }
  });
  f();
  over = true;
  sender.join();
}

/// A child that waits for a byte, and gives it back.
[[gnu::noinline]] pid_t echoing_child(int from, int to, bool shares_memory) {
  const pid_t child = shares_memory ? ::vfork() : ::fork();
  if (child == 0) {
    char c = 0;
    const bool right = ::read(from, &c, 1) == 1 && ::write(to, &c, 1) == 1;
    ::_exit(right ? 0 : 1);
  }
  return child;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(processes, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(signals_end_calls) {
  const interrupter handler;
  alone([] {
    const ends s = ends::of_sockets();
    const ends p = ends::of_pipe();
    char to[64];
    const auto ended = [](auto call) {
      interrupted([&] {
        BOOST_TEST(call() == -1);
        BOOST_TEST(errno == EINTR);
      });
    };
    ended([&] { return ::read(p.left(), to, 64); });
    ended([&] { return ::read(s.left(), to, 64); });
    ended([&] { return ::recv(s.left(), to, 64, MSG_WAITALL); });
    ended([&] {
      pollfd one{p.left(), POLLIN, 0};
      return ::poll(&one, 1, -1);
    });
    ended([&] {
      timespec t{60, 0}, left{};
      const int result = ::nanosleep(&t, &left);
      BOOST_TEST((left.tv_sec > 0 || left.tv_nsec > 0));
      return result;
    });
    interrupted([&] { BOOST_TEST(::sleep(60) > 0u); });
    const std::vector<char> bytes(3'000'000);
    interrupted([&] {
      const ssize_t n = ::send(s.left(), bytes.data(), bytes.size(), 0);
      BOOST_TEST((n > 0 && n < 3'000'000));  // what had been given before the signal
    });
  });
  BOOST_TEST(handled > 0);
}

BOOST_AUTO_TEST_CASE(masks_let_signals_in) {
  const interrupter handler;
  alone([] {
    sigset_t blocked, usual;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &usual);
    ::pthread_kill(this_thread(), SIGUSR1);
    BOOST_TEST(handled == 0);
    const ends p = ends::of_pipe();
    pollfd one{p.left(), POLLIN, 0};
    BOOST_TEST(::poll(&one, 1, 1) == 0);
    BOOST_TEST(handled == 0);
    BOOST_TEST(::ppoll(&one, 1, nullptr, &usual) == -1);
    BOOST_TEST(errno == EINTR);
    BOOST_TEST(handled == 1);
    ::pthread_kill(this_thread(), SIGUSR1);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(p.left(), &in);
    BOOST_TEST(::pselect(p.left() + 1, &in, nullptr, nullptr, nullptr, &usual) == -1);
    BOOST_TEST(errno == EINTR);
    BOOST_TEST(handled == 2);
    ::pthread_sigmask(SIG_SETMASK, &usual, nullptr);
  });
}

BOOST_AUTO_TEST_CASE(plain_threads_can_be_cancelled) {
  for (const bool with_runtime : {false, true}) {
    const auto cancel = [] {
      const ends p = ends::of_pipe();
      void* (*const calls[])(void*) = {
          [](void* fd) -> void* {
            char c;
            return reinterpret_cast<void*>(::read(*static_cast<int*>(fd), &c, 1));
          },
          [](void* fd) -> void* {
            pollfd one{*static_cast<int*>(fd), POLLIN, 0};
            return reinterpret_cast<void*>(static_cast<long>(::poll(&one, 1, -1)));
          },
          [](void*) -> void* { return reinterpret_cast<void*>(static_cast<long>(::sleep(60))); },
      };
      int fd = p.left();
      for (const auto call : calls) {
        pthread_t t;
        BOOST_TEST_REQUIRE(::pthread_create(&t, nullptr, call, &fd) == 0);
        ::pthread_cancel(t);
        void* result = nullptr;
        BOOST_TEST(::pthread_join(t, &result) == 0);
        BOOST_TEST(result == PTHREAD_CANCELED);
      }
    };
    if (with_runtime)
      heddle::run([&] { std::thread(cancel).join(); });
    else
      cancel();
  }
}

BOOST_AUTO_TEST_CASE(children_block_by_themselves) {
  alone([] {
    for (const bool shares_memory : {false, true}) {
      const ends there = ends::of_pipe(), back = ends::of_pipe();
      // In another thread, which a child of vfork() does not keep from writing.
      std::thread writer([&] {
        pollfd one{back.left(), POLLIN, 0};
        ::poll(&one, 1, 20);
        BOOST_TEST(::write(there.right(), "x", 1) == 1);
      });
      const pid_t child = echoing_child(there.left(), back.right(), shares_memory);
      int status = 1;
      BOOST_TEST(::waitpid(child, &status, 0) == child);
      BOOST_TEST(status == 0);
      char c = 0;
      BOOST_TEST(::read(back.left(), &c, 1) == 1);
      BOOST_TEST(c == 'x');
      writer.join();
      BOOST_TEST(heddle::spawn([] { return 7; }).join() == 7);  // our processor is still ours
    }
  });
}

BOOST_AUTO_TEST_CASE(many_at_once) {
  constexpr int readers = 300;
  std::atomic<int> wrong{0};  // Boost.Test is for one thread at a time
  heddle::run(
      [&] {
        std::vector<ends> pipes;
        std::vector<heddle::join_handle<void>> all;
        std::atomic<int> begun{0};
        pipes.reserve(readers);
        for (int i = 0; i != readers; ++i) pipes.push_back(ends::of_pipe());
        for (int i = 0; i != readers; ++i)
          all.push_back(heddle::spawn([&, i] {
            ++begun;
            char c = 0;
            for (int k = 0; k != 20; ++k)
              if (::read(pipes[static_cast<std::size_t>(i)].left(), &c, 1) != 1) ++wrong;
          }));
        while (begun != readers) heddle::this_fiber::yield();
        for (int k = 0; k != 20; ++k)
          for (const auto& p : pipes)
            if (::write(p.right(), "x", 1) != 1) ++wrong;
        for (auto& f : all) f.join();
      },
      {.procs = 2, .monitor = false});
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
