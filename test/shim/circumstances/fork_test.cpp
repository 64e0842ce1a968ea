// SPDX-License-Identifier: BSL-1.0
//
// fork while other threads are inside malloc: the child finds a heap that works. (jemalloc#2019, #2402;
// gperftools#499: row 21.)
#define BOOST_TEST_MODULE shim_fork
#include <pwd.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "shim/circumstances/failing_calls.hpp"
#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

constexpr unsigned hang_after = 20;  // seconds

/// Threads that allocate, resize and free, also each other's blocks, until the end of the scope.
class busy_threads {
 public:
  explicit busy_threads(unsigned count) {
    for (unsigned t = 0; t != count; ++t) threads_.emplace_back([this, t] { work(t); });
  }
  ~busy_threads() {
    stop_ = true;
    for (auto& t : threads_) t.join();
    for (auto& p : shared_) std::free(p.load());
  }

 private:
  void work(unsigned t) {
    (void)!::nice(19);  // of this thread only: the children go first, and these stop wherever they are, locks held
    for (dice d(t); !stop_;) {
      void* p = opaque(std::malloc(some_size(d, d.below(100) ? 12 : 22)));
      p = opaque(std::realloc(p, some_size(d, 14)));
      std::free(shared_[d.below(std::size(shared_))].exchange(p));
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<void*> shared_[256]{};
  std::vector<std::thread> threads_;
};

using blocks = std::vector<void*>;

blocks filled_blocks(std::uint64_t seed) {
  blocks made(200);
  dice d(seed);
  for (void*& p : made) p = opaque(std::malloc(100 + some_size(d, 17))), fill(p, 100);
  return made;
}

void free_checked(const blocks& made) {
  for (void* p : made) {
    insist(holds(p, 100), "a block changed");
    std::free(p);
  }
}

/// What a child does with the heap that it inherited.
void live_as_child(const blocks& inherited, int kind) {
  ::alarm(hang_after);
  free_checked(inherited);
  free_checked(filled_blocks(1));
  std::free(opaque(std::malloc(20 * MiB)));
  if (kind % 2 == 0) std::thread([] { free_checked(filled_blocks(2)); }).join();
  if (kind % 8 == 1) {
    const blocks mine = filled_blocks(3);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) free_checked(mine), ::_exit(0);
    int status = -1;
    ::waitpid(grandchild, &status, 0);
    insist(status == 0, "the grandchild failed");
  }
  if (kind % 8 == 3) ::execl("/bin/true", "true", nullptr);
  ::_exit(0);
}

/// One child; how it ended. The block is freed here too: parent and child have one each.
int fork_one(int kind) {
  const blocks mine = filled_blocks(static_cast<std::uint64_t>(kind));
  const pid_t child = ::fork();
  if (child == 0) live_as_child(mine, kind);
  free_checked(mine);
  int status = -1;
  if (child > 0) ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(forking)

BOOST_AUTO_TEST_CASE(forks_while_threads_allocate) {
  busy_threads busy(3);
  for (int i = 0; i != times(150, 1000); ++i) {
    const int status = fork_one(i);
    BOOST_REQUIRE_MESSAGE(status == 0, "child " << i << " ended with wait status " << status << " (14: it hung)");
  }
}

BOOST_AUTO_TEST_CASE(threads_fork_at_the_same_time) {
  busy_threads busy(2);
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t != 3; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i != times(20, 100); ++i) failed += fork_one(i + t) != 0;
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(failed == 0);
}

BOOST_AUTO_TEST_CASE(vfork_and_spawn) {
  busy_threads busy(3);
  char name[] = "true";
  char* arguments[] = {name, nullptr};
  for (int i = 0; i != times(50, 200); ++i) {
    pid_t spawned = 0;
    BOOST_REQUIRE(::posix_spawn(&spawned, "/bin/true", nullptr, nullptr, arguments, environ) == 0);
    const pid_t vforked = ::vfork();
    if (vforked == 0) {
      ::execv("/bin/true", arguments);
      ::_exit(127);
    }
    for (pid_t child : {spawned, vforked}) {
      int status = -1;
      ::waitpid(child, &status, 0);
      BOOST_REQUIRE(status == 0);
    }
  }
}

/// fork() waits for stdio's list of files. The list's holder waits for a file, and the file's holder for memory.
BOOST_AUTO_TEST_CASE(files_are_read_and_flushed_meanwhile) {
  const death how = fate_of([] {
    ::alarm(3 * hang_after);
    std::atomic<bool> stop{false};
    int ends[2];
    insist(::pipe(ends) == 0, "no pipe");
    std::FILE* const pipe = ::fdopen(ends[0], "r");
    const auto read_line = [](std::FILE* from) {
      char* line = nullptr;
      std::size_t n = 0;
      insist(::getdelim(&line, &n, '\n', from) > 0, "no line");
      std::free(line);
    };
    std::thread reader([&] {
      std::string text(1'500'000, 'x');  // so large that no cache has the like
      for (unsigned i = 0; !stop; ++i) {
        std::FILE* const file = ::fmemopen(text.data(), text.size() - i % 500'000, "r");
        read_line(file);
        std::fclose(file);
        const std::string line = text.substr(0, i % 2'000) + '\n';
        insist(::write(ends[1], line.data(), line.size()) > 0, "cannot write");
        read_line(pipe);
      }
    });
    std::thread flusher([&] {
      while (!stop) std::fflush(nullptr);
    });
    for (int i = 0; i != times(400, 10'000); ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        for (std::size_t n : {1'000, 30'000, 3'000'000}) std::free(opaque(std::malloc(n)));
        ::_exit(0);
      }
      int status = -1;
      ::waitpid(child, &status, 0);
      insist(status == 0, "a child failed");
    }
    stop = true;
    reader.join(), flusher.join();
    ::_exit(0);
  });
  BOOST_TEST((how.signal == 0 && how.status == 0), "signal " << how.signal << " (14: it hung): " << how.text);
}

/// fork() also takes the lock of the name service, under which its configuration is read, and takes it after all
/// handlers.
BOOST_AUTO_TEST_CASE(the_name_service_is_configured_meanwhile) {
  const char* skipped = nullptr;
  int told[2];
  BOOST_REQUIRE(::pipe(told) == 0);
  const death how = fate_of([&] {
    ::alarm(3 * hang_after);
    // A file of its own at that place, for this process alone.
    char name[] = "/tmp/heddle-nsswitch-XXXXXX";
    const int file = ::mkstemp(name);
    const bool possible = file >= 0 && ::unshare(CLONE_NEWNS) == 0 &&
                          ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                          ::mount(name, "/etc/nsswitch.conf", nullptr, MS_BIND, nullptr) == 0;
    ::unlink(name);
    if (!possible) {
      (void)!::write(told[1], "", 1);
      ::_exit(0);
    }
    std::atomic<bool> stop{false};
    const auto change = [&](unsigned i) {
      const std::string text = "passwd: files\n#" + std::string(i % 50, 'x') + "\n";
      insist(::ftruncate(file, 0) == 0 && ::pwrite(file, text.data(), text.size(), 0) > 0, "cannot write");
    };
    change(0);
    std::thread looker([&] {
      for (unsigned i = 1; !stop; ++i) {
        change(i);
        passwd entry{}, *found = nullptr;
        char buffer[4096];
        ::getpwnam_r("root", &entry, buffer, sizeof buffer, &found);
        ::endpwent();
      }
    });
    std::thread other([&] {  // so that the heap has no short paths for the looker
      for (dice d(1); !stop;) std::free(opaque(std::malloc(some_size(d, 16))));
    });
    for (int i = 0; i != times(300, 5'000); ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        std::free(opaque(std::malloc(1'000'000)));
        ::_exit(0);
      }
      int status = -1;
      ::waitpid(child, &status, 0);
      insist(status == 0, "a child failed");
    }
    stop = true;
    looker.join(), other.join();
    ::_exit(0);
  });
  ::close(told[1]);
  char byte = 0;
  if (::read(told[0], &byte, 1) == 1) skipped = "skipped: no mounts of its own for a process here";
  ::close(told[0]);
  if (skipped != nullptr) BOOST_TEST_MESSAGE(skipped);
  BOOST_TEST((how.signal == 0 && how.status == 0), "signal " << how.signal << " (14: it hung): " << how.text);
}

namespace {

volatile std::sig_atomic_t handler_forks, handler_failures;

void fork_in_handler(int) {
  const int error = errno;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = -1;
  ::waitpid(child, &status, 0);
  if (status != 0) handler_failures = 1;
  handler_forks = handler_forks + 1;
  errno = error;
}

}  // namespace

BOOST_AUTO_TEST_CASE(handlers_fork_in_the_middle_of_calls) {
  BOOST_TEST(ends_well([] {
    ::alarm(3 * hang_after);
    ::signal(SIGVTALRM, fork_in_handler);
    const itimerval often{{0, 1'000}, {0, 1'000}};
    ::setitimer(ITIMER_VIRTUAL, &often, nullptr);
    static void* held[4'096];
    for (dice d(7); handler_forks < times(40, 1'000);) {
      void*& p = held[d.below(std::size(held))];
      std::free(p);
      p = opaque(std::malloc(d.below(8) == 0 ? d.below(2 * MiB) : d.below(3'000)));
    }
    insist(handler_failures == 0, "a child failed");
    ::_exit(0);
  }));
}

BOOST_AUTO_TEST_CASE(without_membarrier) {
  BOOST_TEST(ends_well([] {
    ::alarm(3 * hang_after);
    failing_calls calls({SYS_membarrier});
    if (!calls.installed()) ::_exit(0);
    failing_calls::percent(100);
    busy_threads busy(2);
    for (int i = 0; i != 10; ++i) insist(fork_one(0) == 0, "a child failed");
    insist(failing_calls::failed() > 0, "nothing was refused");
    ::_exit(0);
  }));
}

BOOST_AUTO_TEST_SUITE_END()
