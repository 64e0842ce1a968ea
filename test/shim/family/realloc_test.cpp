// SPDX-License-Identifier: BSL-1.0
//
// realloc and reallocarray: what was written stays, whatever boundary is crossed; a failure leaves the block alone.
#define BOOST_TEST_MODULE shim_realloc
#include <algorithm>
#include <fstream>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

void* resize(void* p, std::size_t n) { return opaque(std::realloc(opaque(p), opaque(n))); }

/// Resizes a filled block of `from` bytes and looks whether the bytes came along; then fills the new one.
void step(void*& p, std::size_t from, std::size_t to) {
  p = resize(p, to);
  BOOST_REQUIRE(p);
  BOOST_REQUIRE_MESSAGE(holds(p, std::min(from, to), from), from << " to " << to << " bytes lost some");
  fill(p, to);
}

/// The most bytes that were ever resident since the last call of this.
std::size_t forget_peak() {
  const std::size_t peak = status_bytes("VmHWM:");
  std::ofstream("/proc/self/clear_refs") << "5";
  return peak;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resized)

BOOST_AUTO_TEST_CASE(across_every_boundary_up_and_down) {
  const auto sizes = boundary_sizes(static_cast<std::size_t>(times(2, 32)) * MiB);
  void* p = opaque(std::malloc(1));
  fill(p, 1);
  for (std::size_t i = 1; i != sizes.size(); ++i) step(p, sizes[i - 1], sizes[i]);
  for (std::size_t i = sizes.size() - 1; i != 0; --i) step(p, sizes[i], sizes[i - 1]);
  std::free(p);
}

BOOST_AUTO_TEST_CASE(from_any_size_to_any_other) {
  dice d(4);
  std::vector<std::pair<void*, std::size_t>> blocks(300, {nullptr, 0});
  for (auto& [p, size] : blocks) p = opaque(std::malloc(size = some_size(d, 17))), fill(p, size);
  for (int i = 0; i != times(8000, 60'000); ++i) {
    auto& [p, size] = blocks[d.below(blocks.size())];
    const std::size_t to = some_size(d, d.below(100) ? 17 : 22);
    step(p, size, to);
    size = to;
  }
  for (auto [p, size] : blocks) std::free(p);
}

BOOST_AUTO_TEST_CASE(byte_by_byte) {
  char* p = nullptr;
  for (std::size_t n = 1; n <= 30'000; ++n) {
    p = static_cast<char*>(resize(p, n));
    BOOST_REQUIRE(p);
    p[n - 1] = static_cast<char>(n);
  }
  for (std::size_t n = 1; n <= 30'000; ++n) BOOST_REQUIRE(p[n - 1] == static_cast<char>(n));
  std::free(p);
}

BOOST_AUTO_TEST_CASE(of_null_is_malloc) {
  void* p = resize(nullptr, 100);
  BOOST_REQUIRE(p);
  fill(p, 100);
  std::free(p);
  void* empty = resize(nullptr, 0);
  BOOST_TEST(empty);
  std::free(empty);
}

// glibc frees and returns NULL; others return a block of no bytes. Either way the old one must be gone.
BOOST_AUTO_TEST_CASE(to_no_bytes_frees) {
  const std::size_t before = resident_bytes();
  for (int i = 0; i != 1000; ++i) {
    void* p = opaque(std::malloc(MiB));
    fill(p, MiB);
    std::memset(p, 1, MiB);
    std::free(resize(p, 0));
  }
  BOOST_TEST(resident_bytes() < before + 64 * MiB);
}

BOOST_AUTO_TEST_CASE(failure_keeps_the_block) {
  for (std::size_t n : {std::size_t{100}, 100 * KiB, 10 * MiB}) {
    void* p = opaque(std::malloc(n));
    fill(p, n);
    for (std::size_t too_much : {std::size_t{PTRDIFF_MAX}, SIZE_MAX, SIZE_MAX - 4096, std::size_t{1} << 48}) {
      errno = 0;
      BOOST_TEST(resize(p, too_much) == nullptr);
      BOOST_TEST(errno == ENOMEM);
    }
    BOOST_TEST(holds(p, n));
    std::free(p);
  }
  errno = 0;
  BOOST_TEST(resize(nullptr, SIZE_MAX) == nullptr);
  BOOST_TEST(errno == ENOMEM);
}

// Who still uses the old place is found out.
BOOST_AUTO_TEST_CASE(always_elsewhere_where_every_call_is_checked) {
  if (!hardened()) return;
  for (std::size_t n : boundary_sizes(MiB))
    for (std::size_t to : {n + 1, n / 2 + 1}) {
      if (to == n) continue;
      void* p = opaque(std::malloc(n));
      fill(p, n);
      const auto before = reinterpret_cast<std::uintptr_t>(p);
      p = resize(p, to);
      BOOST_REQUIRE(p);
      BOOST_TEST_CONTEXT(n << " to " << to << " bytes") {
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(p) != before);
        BOOST_TEST(holds(p, std::min(n, to), n));
      }
      std::free(p);
    }
}

// As a program sees mremap: old and new are never both in memory. Hardened they are, since it always moves.
BOOST_AUTO_TEST_CASE(huge_blocks_grow_without_a_copy) {
  BOOST_TEST(ends_well([] {
    const std::size_t from = 256 * MiB;
    auto* p = static_cast<char*>(opaque(std::malloc(from)));
    insist(p, "no 256 MiB");
    for (std::size_t i = 0; i < from; i += 4096) p[i] = static_cast<char>(i >> 12);
    forget_peak();
    void* behind = opaque(std::malloc(from));  // so that it must move
    p = static_cast<char*>(resize(p, 2 * from));
    insist(p, "no 512 MiB");
    const std::size_t peak = forget_peak();
    if (!hardened()) insist(peak < from + 64 * MiB, "growing copied");
    if (hardened()) insist(peak < 2 * from + 64 * MiB, "more than the old and the new block were in memory");
    for (std::size_t i = 0; i < from; i += 4096) insist(p[i] == static_cast<char>(i >> 12), "growing lost bytes");
    std::free(behind);
    std::free(p);
  }));
}

BOOST_AUTO_TEST_CASE(huge_blocks_give_back_what_they_lose) {
  const std::size_t before = resident_bytes();
  void* p = opaque(std::malloc(256 * MiB));
  BOOST_REQUIRE(p);
  std::memset(p, 1, 256 * MiB);
  p = resize(p, MiB);
  BOOST_TEST(resident_bytes() < before + 64 * MiB);
  BOOST_TEST(static_cast<char*>(p)[MiB - 1] == 1);
  std::free(p);
}

BOOST_AUTO_TEST_CASE(past_four_gigabytes) {
  auto* p = static_cast<char*>(opaque(std::malloc(GiB)));
  BOOST_REQUIRE(p);
  p[0] = 1, p[GiB - 1] = 2;
  p = static_cast<char*>(resize(p, 4 * GiB + 4096));
  BOOST_REQUIRE(p);
  BOOST_TEST((p[0] == 1 && p[GiB - 1] == 2));
  p[4 * GiB + 4095] = 3;
  std::free(p);
}

BOOST_AUTO_TEST_CASE(reallocarray_multiplies) {
  auto* p = static_cast<int*>(opaque(::reallocarray(nullptr, 10, sizeof(int))));
  BOOST_REQUIRE(p);
  for (int i = 0; i != 10; ++i) p[i] = i;
  p = static_cast<int*>(opaque(::reallocarray(p, 100'000, sizeof(int))));
  BOOST_REQUIRE(p);
  for (int i = 0; i != 10; ++i) BOOST_TEST(p[i] == i);
  for (auto [count, size] : {std::pair{SIZE_MAX, std::size_t{2}}, std::pair{std::size_t{1} << 32, std::size_t{1} << 32},
                             std::pair{std::size_t{2}, SIZE_MAX / 2 + 1}, std::pair{SIZE_MAX, SIZE_MAX}}) {
    errno = 0;
    BOOST_TEST(opaque(::reallocarray(opaque(p), opaque(count), opaque(size))) == nullptr);
    BOOST_TEST(errno == ENOMEM);
  }
  for (int i = 0; i != 10; ++i) BOOST_TEST(p[i] == i);
  std::free(p);
}

BOOST_AUTO_TEST_SUITE_END()
