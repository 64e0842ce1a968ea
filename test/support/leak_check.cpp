// SPDX-License-Identifier: BSL-1.0
#include "support/leak_check.hpp"

#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string_view>

#include "heddle/run.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEDDLE_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEDDLE_TEST_SANITIZED 1
#endif
#endif

namespace {

std::atomic<long> live_blocks{0};

/// Whether the collector has it for its watch of stacks, until the process ends.
bool is_of_watch(const std::filesystem::path& descriptor) {
  char name[64];  // an allocation in a library's function and its end here are of two kinds for Valgrind
  const ssize_t n = ::readlink(descriptor.c_str(), name, sizeof name);
  const std::string_view all(name, n < 0 ? 0 : static_cast<std::size_t>(n));
  return all == "anon_inode:[userfaultfd]" || all.ends_with("/pagemap");
}

std::size_t open_descriptors() {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    if (!is_of_watch(entry.path())) ++n;
  return n - 1;  // without the one that reads the directory
}

}  // namespace

#ifndef HEDDLE_TEST_SANITIZED
// The other forms of new and delete call these.
void* operator new(std::size_t size) {
  void* const p = std::malloc(size ? size : 1);
  if (!p) throw std::bad_alloc();
  live_blocks.fetch_add(1, std::memory_order_relaxed);
  return p;
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto a = static_cast<std::size_t>(alignment);
  void* const p = std::aligned_alloc(a, (size + a - 1) / a * a);
  if (!p) throw std::bad_alloc();
  live_blocks.fetch_add(1, std::memory_order_relaxed);
  return p;
}
void operator delete(void* p) noexcept {
  if (!p) return;
  live_blocks.fetch_sub(1, std::memory_order_relaxed);
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
void operator delete(void* p, std::align_val_t) noexcept { operator delete(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { operator delete(p); }
#endif

namespace heddle::testing {

belongings belongings::now() {
  const std::size_t descriptors = open_descriptors();
  return {heddle::stats().fibers, descriptors, live_blocks.load(std::memory_order_relaxed)};
}

void leak_check::teardown() {
  const belongings after = belongings::now();
  BOOST_TEST(after.fibers == before.fibers, "fibers left over: " << after.fibers - before.fibers);
  BOOST_TEST(after.descriptors == before.descriptors,
             "descriptors left over: " << after.descriptors << " open, before " << before.descriptors);
  BOOST_TEST(after.blocks <= before.blocks, "blocks of memory left over: " << after.blocks - before.blocks);
}

}  // namespace heddle::testing
