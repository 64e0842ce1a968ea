// SPDX-License-Identifier: BSL-1.0
#include "roots/thread_locals.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>

#include "roots/copied_words.hpp"

// Not there in programs that are linked whole and statically. They load nothing, either.
#pragma weak dlsym

namespace heddle::gc::detail {
namespace {

/// One entry of a thread's table of blocks. Two stand before the first one: the number of entries, to which the address
/// of the table does not lead, and a number that grows when libraries are loaded or closed.
struct table_entry {
  std::uintptr_t block;
  std::uintptr_t to_free;
};
constexpr std::uintptr_t no_block = ~std::uintptr_t{0};
/// More than any program has loaded: a table with more is being moved by its thread.
constexpr std::size_t most_entries = std::size_t{1} << 16;

template <class T>
const T* find_symbol(const char* name) noexcept {
  return dlsym != nullptr ? static_cast<const T*>(::dlsym(RTLD_DEFAULT, name)) : nullptr;
}

/// A member as glibc tells debuggers of it: bits of an element, how many, and where it begins, in bytes.
struct member {
  std::uint32_t bits, count, offset;
};

/// A word of a thread's descriptor.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] std::uintptr_t word_at(std::uintptr_t at) noexcept {
  return *reinterpret_cast<const volatile std::uintptr_t*>(at);
}

/// f(const dl_phdr_info&) for each library, under the loader's lock.
template <class F>
void for_each_library(F f) noexcept {
  ::dl_iterate_phdr(
      [](dl_phdr_info* library, std::size_t, void* to) {
        (*static_cast<F*>(to))(*library);
        return 0;
      },
      &f);
}

std::size_t bytes_of_variables(const dl_phdr_info& library) noexcept {
  for (int i = 0; i != library.dlpi_phnum; ++i)
    if (library.dlpi_phdr[i].p_type == PT_TLS) return library.dlpi_phdr[i].p_memsz;
  return 0;
}

/// How far below the thread pointer variables may begin. Variables that lie close below it in the caller's own thread
/// lie at the same distance in every thread, or are a block of their own. Then they are read in vain.
std::size_t farthest_below() noexcept {
  constexpr std::uintptr_t close = std::uintptr_t{1} << 20;
  const std::uintptr_t own = ::pthread_self();
  std::size_t farthest = 0;
  for_each_library([&](const dl_phdr_info& library) {
    const std::uintptr_t distance = own - reinterpret_cast<std::uintptr_t>(library.dlpi_tls_data);
    if (library.dlpi_tls_data != nullptr && distance <= close) farthest = std::max<std::size_t>(farthest, distance);
  });
  return farthest;
}

}  // namespace

void thread_locals::ask_library() noexcept {
  asked_ = true;
  const auto* bytes = find_symbol<std::uint32_t>("_thread_db_sizeof_pthread");
  if (bytes != nullptr) layout_.bytes = *bytes;
  if (const auto* table = find_symbol<member>("_thread_db_pthread_dtvp")) layout_.table = table->offset;
  const auto* later = find_symbol<member>("_thread_db_pthread_specific");
  const auto* block = find_symbol<std::uint32_t>("_thread_db_sizeof_pthread_key_data_level2");
  if (later != nullptr && block != nullptr) {
    layout_.later_keys = later->offset;
    layout_.key_blocks = std::size_t{later->bits} * later->count / 64;  // the array counts as one element
    layout_.key_block = *block;
  }
  using sizes = void (*)(std::size_t*, std::size_t*);
  const auto ask =
      dlsym != nullptr ? reinterpret_cast<sizes>(::dlsym(RTLD_DEFAULT, "_dl_get_tls_static_info")) : nullptr;
  if (ask == nullptr || bytes == nullptr) return;
  std::size_t all = 0, alignment = 0;
  ask(&all, &alignment);  // with the descriptor, and with room for libraries to come
  sure_ = all > layout_.bytes;
  if (sure_) below_ = all - layout_.bytes;
}

void thread_locals::refresh() {
  if (!asked_) ask_library();
  if (!sure_) below_ = farthest_below();
  // The vector grows between two iterations, since malloc must not be called under the loader's lock.
  for (std::size_t highest = 0;; block_bytes_.resize(highest + 1)) {
    seen_ = changes();
    std::fill(block_bytes_.begin(), block_bytes_.end(), 0);
    for_each_library([&](const dl_phdr_info& library) {
      const std::size_t number = library.dlpi_tls_modid;
      highest = std::max(highest, number);
      if (number != 0 && number < block_bytes_.size()) block_bytes_[number] = bytes_of_variables(library);
    });
    if (highest < block_bytes_.size()) break;
  }
}

thread_locals::count_of_changes thread_locals::changes() noexcept {
  count_of_changes now;
  ::dl_iterate_phdr(
      [](dl_phdr_info* library, std::size_t, void* to) {
        *static_cast<count_of_changes*>(to) = {library->dlpi_adds, library->dlpi_subs};
        return 1;  // the first one says it for all
      },
      &now);
  return now;
}

bool thread_locals::is_current() const noexcept { return changes() == seen_; }

/// f(address, bytes) for each block of variables that is not below the thread pointer. False: the table was moving.
template <class F>
bool thread_locals::for_each_block(std::uintptr_t at, F f) const noexcept {
  std::array<table_entry, 64> some;
  // The table from its number of entries on. Memory may end before the array does.
  std::uintptr_t table = word_at(at + layout_.table) - sizeof(table_entry);
  std::size_t got = try_copy(some.data(), reinterpret_cast<const void*>(table), sizeof some) / sizeof(table_entry);
  if (got == 0 || some[0].block > most_entries) return false;
  const std::size_t end = std::min<std::size_t>(some[0].block + 1, block_bytes_.size()) + 1;
  for (std::size_t first = 0;;) {
    for (std::size_t i = first == 0 ? 2 : 0; i < got && first + i < end; ++i) {
      const std::uintptr_t block = some[i].block;
      if (block == 0 || block == no_block || at - block <= below_) continue;  // the last: they have been told of
      f(block, block_bytes_[first + i - 1]);
    }
    first += got;
    if (first >= end) return true;
    const auto* const next = reinterpret_cast<const void*>(table + first * sizeof(table_entry));
    got = try_copy(some.data(), next, sizeof some) / sizeof(table_entry);
    if (got == 0) return false;
  }
}

bool thread_locals::scan(root_sink& sink, pthread_t thread) const noexcept {
  const std::uintptr_t at = thread;
  const auto* const from = reinterpret_cast<const void*>(at - below_);
  if (sure_)
    sink.words(from, reinterpret_cast<const void*>(at + layout_.bytes));  // there as long as the thread is
  else
    tell_copied(sink, from, below_ + layout_.bytes);
  scan_later_keys(sink, at);
  return for_each_block(at, [&sink](std::uintptr_t block, std::size_t bytes) {
    tell_copied(sink, reinterpret_cast<const void*>(block), bytes);
  });
}

bool thread_locals::holds(pthread_t thread, const void* p) const noexcept {
  const std::uintptr_t at = thread;
  const auto wanted = reinterpret_cast<std::uintptr_t>(p);
  if (wanted - (at - below_) < below_ + layout_.bytes) return true;
  bool found = false;
  for_each_block(at, [&](std::uintptr_t block, std::size_t bytes) { found |= wanted - block < bytes; });
  return found;
}

void thread_locals::scan_later_keys(root_sink& sink, std::uintptr_t at) const noexcept {
  for (std::size_t i = 0; i != layout_.key_blocks; ++i) {
    const std::uintptr_t block = word_at(at + layout_.later_keys + i * sizeof(void*));
    if (block != 0 && block - at >= layout_.bytes)  // the first block is in the descriptor
      tell_copied(sink, reinterpret_cast<const void*>(block), layout_.key_block);
  }
}

}  // namespace heddle::gc::detail
