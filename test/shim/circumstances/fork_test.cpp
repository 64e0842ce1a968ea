// SPDX-License-Identifier: BSL-1.0
//
// fork while other threads are inside malloc: the child finds a heap that works. (jemalloc#2019, #2402;
// gperftools#499: row 21.)
#define BOOST_TEST_MODULE shim_fork
#include <spawn.h>
#include <sys/wait.h>

#include <thread>

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

BOOST_AUTO_TEST_SUITE_END()
