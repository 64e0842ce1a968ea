// SPDX-License-Identifier: BSL-1.0
#include "heddle/alloc.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "at_work.hpp"
#include "blocks.hpp"
#include "heap_profile.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/heap_profile.hpp"
#include "scavenger.hpp"
#include "statistics.hpp"

namespace heddle::alloc {
namespace {

using namespace heddle::detail;

[[noreturn, gnu::cold, gnu::noinline]] void no_memory() { throw std::bad_alloc(); }

inline void* checked(void* p) {
  if (p == nullptr) [[unlikely]]
    no_memory();
  return p;
}

void* aligned(std::size_t size, std::align_val_t alignment) noexcept {
  const auto a = static_cast<std::size_t>(alignment);
  return a == 0 || (a & (a - 1)) != 0 ? nullptr : blocks::allocate_aligned(a, size);
}

/// More than the longest text has, so that append() needs no memory: two entries of at most 256 characters a class.
constexpr std::size_t most_text = 512 * (statistics::most_classes + 16);

bool append(void* to, const char* text, std::size_t n) noexcept {
  static_cast<std::string*>(to)->append(text, n);
  return true;
}

bool write_file(void* to, const char* text, std::size_t n) noexcept {
  return std::fwrite(text, 1, n, static_cast<std::FILE*>(to)) == n;
}

}  // namespace

void* allocate(std::size_t size) { return checked(blocks::allocate(size)); }
void* allocate(std::size_t size, const std::nothrow_t&) noexcept { return blocks::allocate(size); }
void* allocate(std::size_t size, std::align_val_t alignment) { return checked(aligned(size, alignment)); }
void* allocate(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return aligned(size, alignment);
}
void* allocate_zeroed(std::size_t size) { return checked(blocks::allocate_zeroed(size)); }
void* allocate_zeroed(std::size_t size, const std::nothrow_t&) noexcept { return blocks::allocate_zeroed(size); }

void deallocate(void* p) noexcept { blocks::deallocate(p); }
void deallocate(void* p, std::size_t size) noexcept { blocks::deallocate_sized_any_alignment(p, size); }
void deallocate(void* p, std::size_t size, std::align_val_t alignment) noexcept {
  blocks::deallocate_aligned(p, static_cast<std::size_t>(alignment), size);
}

void* reallocate(void* p, std::size_t size) { return checked(reallocate(p, size, std::nothrow)); }
void* reallocate(void* p, std::size_t size, const std::nothrow_t&) noexcept {
  return p == nullptr ? blocks::allocate(size) : blocks::reallocate(p, size);
}

std::size_t usable_size(const void* p) noexcept { return p == nullptr ? 0 : blocks::usable_size(p); }
std::size_t good_size(std::size_t size) noexcept { return blocks::good_size(size); }
std::size_t release() noexcept {
  const at_work here;
  return here ? the_scavenger.release_all() : 0;
}

void set_limit(std::size_t bytes) noexcept { the_mheap.set_limit(bytes); }
std::size_t limit() noexcept { return the_mheap.limit(); }

statistics get_statistics() noexcept {
  statistics s;
  gather(s);
  return s;
}

bool print(const statistics& s, std::FILE* to) {
  text_writer writer(write_file, to);
  write_text(s, writer);
  return writer.flush();
}

std::string to_string(const statistics& s) {
  std::string text;
  text.reserve(most_text);
  text_writer writer(append, &text);
  write_text(s, writer);
  writer.flush();
  return text;
}

std::string to_json(const statistics& s) {
  std::string text;
  text.reserve(most_text);
  text_writer writer(append, &text);
  write_json(s, writer);
  writer.flush();
  return text;
}

}  // namespace heddle::alloc

namespace heddle::alloc::profile {

bool start(std::size_t sample_interval) noexcept { return heddle::detail::the_profile.start(sample_interval); }
void stop() noexcept { heddle::detail::the_profile.stop(); }
bool write(int descriptor) noexcept { return heddle::detail::the_profile.write(descriptor); }

bool write(const char* path) noexcept {
  const int file = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return false;
  const bool good = write(file);
  return ::close(file) == 0 && good;
}

}  // namespace heddle::alloc::profile
