// SPDX-License-Identifier: BSL-1.0
#include "model/event_queue.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "model/model.hpp"
#include "scheduler.hpp"

namespace model::descriptors {
namespace {

namespace platform = heddle::detail::platform;

struct descriptor {
  bool open = false;
  bool file = false;  // the queue does not take it
  bool ended = false;
  bool broken = false;
  int input = 0;
  int room = 0;
  std::uint32_t identity = 0;
  bool watched = false;
  std::uint64_t tag = 0;
  std::uint64_t due = 0;  // the order in which they became due; 0: not due

  std::uint32_t state() const noexcept {
    std::uint32_t s = 0;
    if (input != 0 || ended || broken) s |= platform::readable_now;
    if (room != 0 || broken) s |= platform::writable_now;
    if (ended || broken) s |= platform::end_of_input;
    if (broken) s |= platform::broken;
    return s;
  }
};

/// The kernel. Its plain fields change between two scheduling points, so each call is indivisible.
struct kernel {
  static constexpr int first = 3;
  std::array<descriptor, 16> table;
  std::uint64_t changes = 0;
  std::uint32_t opened = 0;
  bool interrupted = false;
  std::uint32_t execution = 0;
  // Who waits sleeps here until anything changes.
  platform::atomic<std::uint32_t> bell{0};

  descriptor& at(int fd) {
    if (fd < first || fd >= first + static_cast<int>(table.size()) || !table[static_cast<std::size_t>(fd - first)].open)
      fail("a descriptor is used that is not open");
    return table[static_cast<std::size_t>(fd - first)];
  }
};

constinit kernel the_only;

/// As it was at the begin of the execution, if it is the first call in it.
kernel& the_kernel() noexcept {
  const std::uint32_t now = model::detail::scheduler::get().mem().execution();
  kernel& k = the_only;
  if (k.execution != now) {
    k.table = {};
    k.changes = k.opened = 0;
    k.interrupted = false;
    k.execution = now;
  }
  return k;
}

/// Another thread may run before the call.
kernel& enter() noexcept {
  detail::scheduler& s = detail::scheduler::get();
  if (s.active()) s.point();
  return the_kernel();
}

void wake_sleepers(kernel& k) noexcept {
  k.bell.fetch_add(1, std::memory_order_relaxed);
  platform::futex_wake(k.bell, 1'000'000);
}

void becomes_due(kernel& k, descriptor& d) noexcept {
  if (d.watched && d.due == 0) d.due = ++k.changes;
}
void changed(kernel& k, descriptor& d) noexcept {
  becomes_due(k, d);
  wake_sleepers(k);
}

int make_descriptor(int room, bool file) noexcept {
  kernel& k = enter();
  for (std::size_t i = 0; i != k.table.size(); ++i) {
    if (k.table[i].open) continue;
    k.table[i] = {.open = true, .file = file, .room = room, .identity = ++k.opened};
    return kernel::first + static_cast<int>(i);
  }
  fail("more descriptors than the played kernel has");
}

}  // namespace

int make(int room) noexcept { return make_descriptor(room, false); }
int make_file() noexcept { return make_descriptor(1'000'000, true); }

void send(int fd, int n) noexcept {
  kernel& k = enter();
  k.at(fd).input += n;
  changed(k, k.at(fd));
}
void end(int fd) noexcept {
  kernel& k = enter();
  k.at(fd).ended = true;
  changed(k, k.at(fd));
}
void reset(int fd) noexcept {
  kernel& k = enter();
  k.at(fd).broken = true;
  changed(k, k.at(fd));
}
void make_room(int fd, int n) noexcept {
  kernel& k = enter();
  k.at(fd).room += n;
  changed(k, k.at(fd));
}
void disturb(int fd) noexcept {
  kernel& k = enter();
  changed(k, k.at(fd));
}

int read(int fd, int n) noexcept {
  kernel& k = enter();
  descriptor& d = k.at(fd);
  if (d.broken) return failed;
  if (d.input == 0) return d.ended ? 0 : would_block;
  const int taken = std::min(n, d.input);
  d.input -= taken;
  return taken;
}
int write(int fd, int n) noexcept {
  kernel& k = enter();
  descriptor& d = k.at(fd);
  if (d.broken) return failed;
  if (d.room == 0) return would_block;
  const int written = std::min(n, d.room);
  d.room -= written;
  return written;
}

int count() noexcept {
  kernel& k = enter();
  return static_cast<int>(std::ranges::count_if(k.table, &descriptor::open));
}
std::uint32_t identity(int fd) noexcept { return enter().at(fd).identity; }

}  // namespace model::descriptors

namespace heddle::detail::platform {

using namespace model::descriptors;

int event_queue::open() noexcept {
  open_ = true;
  return 0;
}
void event_queue::close() noexcept { open_ = false; }
void event_queue::check_open() const noexcept { model::check(open_, "a queue is used that is not open"); }

int event_queue::add(int fd, std::uint64_t tag) noexcept {
  check_open();
  kernel& k = enter();
  descriptor& d = k.at(fd);
  if (d.file) return EPERM;
  if (d.watched) return EEXIST;
  d.watched = true;
  d.tag = tag;
  d.due = 0;
  if (d.state() != 0) changed(k, d);
  return 0;
}

void event_queue::remove(int fd) noexcept {
  check_open();
  descriptor& d = enter().at(fd);
  model::check(d.watched, "a descriptor is taken out of the queue that is not in it");
  d.watched = false;
  d.due = 0;
}

/// Copies out what is due, the oldest first.
static int take_due(kernel& k, event* out, int n) noexcept {
  int found = 0;
  while (found != n) {
    descriptor* oldest = nullptr;
    for (descriptor& d : k.table)
      if (d.due != 0 && (oldest == nullptr || d.due < oldest->due)) oldest = &d;
    if (oldest == nullptr) break;
    oldest->due = 0;
    if (oldest->state() == 0) continue;
    out[found].events = oldest->state();
    out[found++].data.u64 = oldest->tag;
  }
  return found;
}

int event_queue::wait(event* out, int n, nanoseconds_t deadline) noexcept {
  check_open();
  model::check(n > 0, "a wait for no event");
  for (;;) {
    kernel& k = enter();
    // Read before the look; the sleep below compares with the newest.
    const std::uint32_t seen = k.bell.load(std::memory_order_relaxed);
    if (const int found = take_due(k, out, n); found != 0) return found;
    if (std::exchange(k.interrupted, false)) return 0;
    if (deadline == 0 || (deadline != no_deadline && now() >= deadline)) return 0;
    futex_wait(k.bell, seen, deadline);
  }
}

void event_queue::interrupt() noexcept {
  check_open();
  kernel& k = enter();
  k.interrupted = true;
  wake_sleepers(k);
}

int doorbell::open() noexcept {
  open_ = true;
  return 0;
}
void doorbell::close() noexcept { open_ = false; }
void doorbell::ring() noexcept {
  kernel& k = enter();
  model::check(open_, "a doorbell rings that is gone");
  rung_.store(1, std::memory_order_release);  // release: what the contract says; acquire half in wait_for()
  wake_sleepers(k);
}
bool doorbell::wait_for(int fd, bool write, nanoseconds_t deadline) noexcept {
  for (;;) {
    kernel& k = enter();
    const std::uint32_t seen = k.bell.load(std::memory_order_relaxed);
    const bool ready = (k.at(fd).state() & (write ? writable_now : readable_now)) != 0;
    const bool rung = rung_.exchange(0, std::memory_order_acquire) != 0;  // acquire: half of ring()
    if (ready || rung || (deadline != no_deadline && now() >= deadline)) return ready;
    futex_wait(k.bell, seen, deadline);
  }
}

void close_descriptor(int fd) noexcept {
  descriptor& d = enter().at(fd);
  // Another number for the same file, in a child for instance, would keep the queue reporting it.
  model::check(!d.watched, "a descriptor is closed while the queue watches it");
  d.open = false;
}

}  // namespace heddle::detail::platform
