// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "roots/sink.hpp"

namespace heddle::gc::detail {

/// Where the C library has the variables of one thread: thread_local variables of the program and of all libraries,
/// also of those that dlopen() has loaded, and the values of pthread_setspecific().
///
///     locals.refresh();                       // nobody is suspended
///     do {
///       suspend(thread);
///       const bool whole = locals.scan(sink, thread);
///       resume(thread);
///       if (whole && locals.is_current()) break;
///       locals.refresh();                     // a library has been loaded, whose variables scan() did not know
///     } while (...);                          // a few times: a thread may load libraries for ever
///
/// Layout (glibc, x86-64): the thread pointer is the thread's pthread_t. Right below it are the variables of what was
/// loaded at the start; at it begins the thread's descriptor, which has the values of the first 32 keys. All other
/// variables are in blocks, one for each library, made when the thread first uses one: the descriptor leads to a table
/// of them, by the number of the library. Their sizes are the libraries', which are looked up beforehand.
///
/// A thread may be suspended while it frees a block or moves its table, and a library may be closed at any time: so
/// table and blocks are read as a copy, which cannot fault.
///
/// One object belongs to the collector's thread. Other C libraries than glibc: not supported.
/// Source: what gdb does by libthread_db; the layout of the table is that of "ELF Handling For Thread-Local Storage"
/// (U. Drepper), variant II.
class thread_locals {
 public:
  /// Looks at what is loaded. It takes the loader's lock, and allocates: no thread may be suspended. Throws
  /// std::bad_alloc. O(number of libraries), about 40 ns for seven.
  void refresh();
  /// False: a library has been loaded or closed since refresh(). No thread may be suspended. About 10 ns.
  bool is_current() const noexcept;
  /// Tells the sink of all that is of `thread`, which lives, and is suspended or is the caller. Takes no lock and
  /// allocates nothing. False: the thread was about to change its table of blocks, and some may be missing; let it run
  /// on, and try again. O(bytes of its variables); 1.2 us for 4 KiB, one call of the kernel, and one for each block.
  bool scan(root_sink& sink, pthread_t thread) const noexcept;

  /// Whether p lies in a variable of `thread`, which lives: as far as is known from the last refresh().
  bool holds(pthread_t thread, const void* p) const noexcept;

 private:
  /// Where things are in a thread's descriptor.
  struct descriptor {
    std::size_t bytes = 2368;     ///< of all of it: glibc 2.36's, where it does not tell
    std::size_t table = 8;        ///< the address of the table of blocks
    std::size_t later_keys = 0;   ///< addresses of blocks of values of further keys; 0: not known
    std::size_t key_blocks = 0;   ///< how many
    std::size_t key_block = 512;  ///< bytes of each
  };
  struct count_of_changes {
    unsigned long long loaded = 0, closed = 0;
    friend bool operator==(const count_of_changes&, const count_of_changes&) = default;
  };

  void ask_library() noexcept;
  static count_of_changes changes() noexcept;
  template <class F>
  bool for_each_block(std::uintptr_t at, F f) const noexcept;
  void scan_later_keys(root_sink& sink, std::uintptr_t at) const noexcept;

  bool asked_ = false;
  bool sure_ = false;  ///< the library has said how much there is below the thread pointer
  descriptor layout_;
  std::size_t below_ = 0;                 ///< bytes of variables below the thread pointer
  std::vector<std::size_t> block_bytes_;  ///< by the number of the library, from 1 on; 0: there is none
  count_of_changes seen_;
};

}  // namespace heddle::gc::detail
