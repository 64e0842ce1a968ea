// SPDX-License-Identifier: BSL-1.0
//
// What runtime/src/poll/event_queue.hpp becomes with HEDDLE_MODEL=1: the same names, above a kernel that is played. Its
// descriptors are small numbers, and tests say what becomes of them (namespace descriptors).
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail::platform {

inline constexpr std::uint32_t readable_now = 1, writable_now = 2, end_of_input = 4, broken = 8;
inline constexpr std::uint32_t last_read_events = end_of_input | broken;
inline constexpr std::uint32_t last_write_events = broken;
inline constexpr std::uint32_t readable_events = readable_now | last_read_events;
inline constexpr std::uint32_t writable_events = writable_now | last_write_events;

struct event {
  std::uint32_t events;
  union {
    std::uint64_t u64;
  } data;
};

/// An edge-triggered queue, as epoll is one. A change makes a descriptor due; wait() reports how it is by then, and
/// says nothing of one that is not ready any more. What wait() has copied out stays valid whatever becomes of the
/// descriptor.
///
/// Nothing here orders the program's memory, though system calls do on every processor: who relies on that is found. So
/// is a use that open() has not happened before.
class event_queue {
 public:
  int open() noexcept;
  void close() noexcept;
  int add(int fd, std::uint64_t tag) noexcept;
  void remove(int fd) noexcept;
  int wait(event* out, int n, nanoseconds_t deadline) noexcept;
  void interrupt() noexcept;

 private:
  void check_open() const noexcept;
  in_turns<bool> open_{false};
};

/// What a thread that waits for a descriptor by itself is told to look again with.
class doorbell {
 public:
  int open() noexcept;
  void close() noexcept;
  void ring() noexcept;
  /// Sleeps until fd can be read or written, it rings, or the deadline has passed. True: fd can.
  bool wait_for(int fd, bool write, nanoseconds_t deadline) noexcept;

 private:
  bool open_ = false;
  atomic<std::uint32_t> rung_{0};
};

void close_descriptor(int fd) noexcept;

}  // namespace heddle::detail::platform

/// The descriptors of the played kernel, for tests. They are gone with the execution; so is what its queue knows. Each
/// call is a scheduling point, and ends the execution as failed if the descriptor is not open.
namespace model::descriptors {

inline constexpr int would_block = -1;
inline constexpr int failed = -2;

/// An open one without input, and with room for so much output: the smallest free number, as in the kernel.
int make(int room = 1'000'000) noexcept;
/// The same for one of which the kernel reports no events, like a regular file.
int make_file() noexcept;

/// n bytes of input come.
void send(int fd, int n) noexcept;
/// There is no more input behind what has come.
void end(int fd) noexcept;
/// The connection breaks: reads and writes fail from now on.
void reset(int fd) noexcept;
/// Room for n more bytes of output.
void make_room(int fd, int n) noexcept;
/// An event without a reason.
void disturb(int fd) noexcept;

/// Takes up to n bytes of input; 0: its end has been reached.
int read(int fd, int n) noexcept;
/// Writes up to n bytes.
int write(int fd, int n) noexcept;

/// How many are open.
int count() noexcept;
/// Names what was opened, not the number: two that have had the same number differ.
std::uint32_t identity(int fd) noexcept;

}  // namespace model::descriptors
