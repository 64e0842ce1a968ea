// SPDX-License-Identifier: BSL-1.0
//
// Fibers that wait, each for something else, and one that runs, for test/runtime/gdb_test to look at:
//
//     gdb_subject fiber|thread|inline [abort]
//
// The argument says who stops, in stop_here() or by abort() for a core: the fiber that runs; a thread that is no fiber;
// or that thread in the midst of a call that is inlined into a function, which is a SIGTRAP in any case.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "heddle/detail/polled.hpp"
#include "heddle/heddle.hpp"

using namespace std::chrono_literals;

namespace {
bool aborts = false;
std::atomic<bool> hog_runs{false}, over{false};
}  // namespace

/// The wait lies a few frames deep, where the debugger finds it; `knot` is needed afterwards, so a register keeps it.
[[gnu::noinline]] int waits_for_the_shuttle(heddle::channel<int>& shuttle, int knot) {
  const int got = shuttle.receive().value_or(7);
  std::printf("%d\n", got + knot);
  return got;
}
[[gnu::noinline]] int calls_one_that_waits(heddle::channel<int>& shuttle, int knot) {
  return waits_for_the_shuttle(shuttle, knot) + knot;
}
[[gnu::noinline]] int waits_for_the_loom(heddle::mutex& loom, int knot) {
  const std::lock_guard hold(loom);
  std::printf("%d\n", knot);
  return knot;
}
[[gnu::noinline]] int sleeps(std::stop_token wake, int knot) {
  const bool all_of_it = heddle::this_fiber::sleep_for(1h, wake);
  std::printf("%d %d\n", all_of_it, knot);
  return knot;
}
[[gnu::noinline]] int sleeps_deaf(int knot) {
  heddle::this_fiber::sleep_for(1h);
  std::printf("%d\n", knot);
  return knot;
}

/// Waits at a descriptor, which has that number, for input or for room. Neither comes.
[[gnu::noinline]] int waits_at_a_descriptor(int fd, int number, heddle::detail::poll_side side) {
  const heddle::detail::polled at(::dup2(fd, number));
  heddle::detail::polled::use now(at);
  now.blocked(side, now.readiness(side));
  const auto how = now.wait(side, {});
  std::printf("%d\n", static_cast<int>(how));
  return number;
}
/// The end of a connection over loopback that was accepted; the other stays open.
int accepted() {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0), far = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::bind(listener, address, size) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, address, &size) != 0 || ::connect(far, address, size) != 0)
    std::abort();
  return ::accept(listener, nullptr, nullptr);
}
/// The end of a pipe that is written to, and is full.
int full_pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_NONBLOCK) != 0) std::abort();
  const char some[4096] = {};
  while (::write(ends[1], some, sizeof some) > 0) {
  }
  return ends[1];
}

/// Calls a function that waits, with a known value in each register that a function must keep.
extern "C" void knows_its_registers(heddle::channel<int>& shuttle);
extern "C" [[gnu::used, gnu::noinline]] void waits_for_one_that_knows(heddle::channel<int>& shuttle) {
  std::printf("%d\n", shuttle.receive().value_or(0));
}
asm(R"(
    .macro keeps register
    pushq %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %\register, 0
    .endm
    .text
    .globl knows_its_registers
    .type knows_its_registers, @function
knows_its_registers:
    .cfi_startproc
    keeps rbx
    keeps rbp
    keeps r12
    keeps r13
    keeps r14
    keeps r15
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    movl $0x1001, %ebx
    movl $0x1002, %ebp
    movl $0x1003, %r12d
    movl $0x1004, %r13d
    movl $0x1005, %r14d
    movl $0x1006, %r15d
    call waits_for_one_that_knows
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    popq %r14
    .cfi_adjust_cfa_offset -8
    popq %r13
    .cfi_adjust_cfa_offset -8
    popq %r12
    .cfi_adjust_cfa_offset -8
    popq %rbp
    .cfi_adjust_cfa_offset -8
    popq %rbx
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size knows_its_registers, . - knows_its_registers
)");

/// Where the debugger stops.
extern "C" [[gnu::noinline]] void stop_here() {
  if (aborts) std::abort();
  asm volatile("" ::: "memory");
}
[[gnu::always_inline]] inline void inlined_stop() { asm volatile("int3\n\tnop" ::: "memory"); }

/// A thread that is no fiber: stops while the hog runs and all others wait.
[[gnu::noinline]] void bystander(bool inlined) {
  while (!hog_runs) std::this_thread::yield();
  if (inlined)
    inlined_stop();
  else
    stop_here();
  over = true;
}
[[gnu::noinline]] void hogs(bool stops) {
  heddle::go({.name = "fresh"}, [] {});  // finds no processor
  hog_runs = true;
  if (stops) {
    stop_here();
    over = true;
  }
  while (!over) {
  }
}
[[gnu::noinline]] void runs_all(bool hog_stops) {
  heddle::channel<int> shuttle;
  heddle::mutex loom;
  std::stop_source wake;
  loom.lock();
  auto warp = heddle::spawn({.name = "warp"}, [&] { return calls_one_that_waits(shuttle, 41); });
  auto weft = heddle::spawn({.name = "weft"}, [&] { return calls_one_that_waits(shuttle, 42); });
  auto weaver = heddle::spawn({.name = "weaver"}, [&] { return waits_for_the_loom(loom, 43); });
  auto dreamer = heddle::spawn({.name = "dreamer"}, [&] { return sleeps(wake.get_token(), 44); });
  auto keeper = heddle::spawn({.name = "keeper"}, [&] {
    knows_its_registers(shuttle);
    return 46;
  });
  heddle::spawn({.name = "deaf"}, [] { return sleeps_deaf(45); }).detach();
  using heddle::detail::poll_side;
  heddle::go({.name = "reader"}, [] { waits_at_a_descriptor(accepted(), 77, poll_side::read); });
  heddle::go({.name = "writer"}, [] { waits_at_a_descriptor(full_pipe(), 78, poll_side::write); });
  for (int i = 0; i < 50; ++i) heddle::this_fiber::yield();  // until all of them wait
  heddle::channel<int> hog_ends;
  heddle::go({.name = "hog"}, [&] {
    hogs(hog_stops);
    hog_ends.close();
  });
  (void)hog_ends.receive();
  shuttle.close();
  loom.unlock();
  wake.request_stop();
  const int sum = warp.join() + weft.join() + weaver.join() + dreamer.join() + keeper.join();
  std::printf("%d\n", sum);
  std::fflush(stdout);
  std::_Exit(0);  // some still wait
}

int main(int argc, char** argv) {
  const char* const who = argc > 1 ? argv[1] : "fiber";
  aborts = argc > 2;
  const bool inlined = std::strcmp(who, "inline") == 0;
  std::thread other;
  if (inlined || std::strcmp(who, "thread") == 0) other = std::thread([inlined] { bystander(inlined); });
  heddle::run([&] { runs_all(!other.joinable()); }, {.procs = 1, .monitor = false});
}
