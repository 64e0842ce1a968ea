// SPDX-License-Identifier: BSL-1.0
//
// What the allocator asks of the kernel. Nothing here allocates, and errno stays as it was.
#pragma once

#include <cerrno>
#include <cstddef>

namespace heddle::detail::os {

/// Restores errno when the scope ends: free() must not change it.
struct errno_kept {
  errno_kept() noexcept = default;
  ~errno_kept() { errno = value; }
  errno_kept(const errno_kept&) = delete;
  errno_kept& operator=(const errno_kept&) = delete;
  const int value = errno;
};

enum class map_result {
  mapped,     ///< zeroed memory
  taken,      ///< something else is there
  no_memory,  ///< or no address space, or no mapping left
};
/// Memory at an address that must be free.
map_result map_at(void* at, std::size_t bytes) noexcept;
/// Memory anywhere, zeroed, aligned to `alignment` (a power of two); null if there is none.
void* map(std::size_t bytes, std::size_t alignment) noexcept;
/// Makes addresses from reserve_closed() writable. False: no memory.
bool commit(void* at, std::size_t bytes) noexcept;
void unmap(void* at, std::size_t bytes) noexcept;
/// Address space that cannot be touched until it is committed. Null: there is none.
void* reserve_closed(std::size_t bytes) noexcept;
/// Gives memory back and makes its addresses such. False: the kernel has no mapping left for that.
bool close(void* at, std::size_t bytes) noexcept;
/// Gives memory back; the pages read as zeros afterwards. False: they are as before.
bool drop(void* at, std::size_t bytes) noexcept;
/// Gets memory for all of these pages at once, which costs less than a fault for each. If it fails they come one by
/// one.
void populate(void* at, std::size_t bytes) noexcept;
/// Another size for what map() gave, at another address if need be, without a copy. Null: it is as before.
void* remap(void* at, std::size_t old_bytes, std::size_t new_bytes) noexcept;
/// Moves the memory behind whole pages to a mapping of its own; `from` stays mapped and reads as zeros. Null: the
/// kernel cannot, or the memory is locked, and nothing has changed.
void* move_pages(void* from, std::size_t bytes) noexcept;
/// The program has asked for memory to be locked, or is about to. The shim hears it (heard_calls.cpp), and until then
/// nothing is locked; elsewhere anything may be at any time.
void hear_of_locks() noexcept;
/// Undoes move_pages().
void move_back(void* moved, void* to, std::size_t bytes) noexcept;
/// Whether this memory may be huge pages.
void advise_huge_pages(void* at, std::size_t bytes, bool wanted) noexcept;

/// Has f called with the address when the process touches what it may not, unless somebody has asked for that signal
/// already; if f returns the process ends as it would have. Who asks for the signal later gets it instead.
void on_fault(void (*f)(const void* at)) noexcept;

/// Whether that is code of the dynamic loader.
bool in_loader(const void* code) noexcept;

/// Whether the process has rights that its starter does not have (set-user-ID, set-group-ID, capabilities of its file,
/// a module of the kernel says so). Then nothing is obeyed that comes from the environment. At any time, also before
/// libc has been initialised.
bool is_privileged() noexcept;

/// RLIMIT_AS, or SIZE_MAX.
std::size_t address_space_limit() noexcept;
/// Not for keys; it differs from process to process.
std::size_t random_bits() noexcept;

}  // namespace heddle::detail::os
