// SPDX-License-Identifier: BSL-1.0
//
// What one may ask of the heap and set: malloc_usable_size, malloc_trim, mallinfo, malloc_stats, malloc_info, mallopt,
// free_sized. What a shared object does not supply is left to glibc, whose answers then speak of another heap.
#define BOOST_TEST_MODULE shim_figures
#include <malloc.h>

#include <climits>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

/// 64 MiB in small blocks, each touched.
std::vector<void*> small_blocks() {
  std::vector<void*> blocks(64 * 1024);
  for (void*& p : blocks) p = opaque(std::malloc(1000)), fill(p, 1000);
  return blocks;
}

void free_all(const std::vector<void*>& blocks) {
  for (void* p : blocks) std::free(p);
}

bool supplied(const char* function) {
  if (home_of(function) == home_of("malloc")) return true;
  BOOST_TEST_MESSAGE("left out: " << function << " is not supplied");
  return false;
}

/// What f writes to stderr.
template <class F>
std::string said(F&& f) {
  return fate_of(f).text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(figures)

BOOST_AUTO_TEST_CASE(all_usable_bytes_can_be_used) {
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (std::size_t n : boundary_sizes(2 * MiB)) {
    void* p = opaque(std::malloc(n));
    const std::size_t usable = ::malloc_usable_size(p);
    BOOST_REQUIRE_MESSAGE(usable >= n, usable << " of " << n << " bytes");
    fill(p, usable);
    blocks.emplace_back(p, usable);
  }
  for (auto [p, usable] : blocks) {
    BOOST_REQUIRE_MESSAGE(holds(p, usable), usable << " usable bytes were written by another");
    std::free(p);
  }
  BOOST_TEST(::malloc_usable_size(nullptr) == 0u);
}

BOOST_AUTO_TEST_CASE(blocks_of_no_bytes_have_a_size) {
  for (int i = 0; i != 100; ++i) {
    void* const made[] = {std::malloc(0),    std::calloc(0, 8),   std::calloc(8, 0),         std::realloc(nullptr, 0),
                          ::memalign(64, 0), ::memalign(8192, 0), std::aligned_alloc(16, 0), ::valloc(0)};
    for (void* p : made) {
      BOOST_REQUIRE(opaque(p) != nullptr);
      const std::size_t n = ::malloc_usable_size(p);
      std::memset(p, 1, n);
      BOOST_TEST(n < 8 * KiB + 1);
      p = opaque(std::realloc(p, 100));
      BOOST_TEST(::malloc_usable_size(p) >= 100u);
      std::free(p);
    }
  }
}

BOOST_AUTO_TEST_CASE(trim_gives_memory_back) {
  const std::size_t before = resident_bytes();
  for (int i = 0; i != 3; ++i) {
    free_all(small_blocks());
    const int released = ::malloc_trim(0);
    BOOST_TEST((released == 0 || released == 1));
  }
  BOOST_TEST(resident_bytes() < before + 16 * MiB);
}

BOOST_AUTO_TEST_CASE(mallinfo_counts_bytes_in_use) {
  const auto in_use = [] {
    const struct mallinfo2 i = ::mallinfo2();
    return i.uordblks + i.hblkhd;
  };
  const std::size_t before = in_use();
  const auto blocks = small_blocks();
  void* large = opaque(std::malloc(64 * MiB));
  const std::size_t during = in_use();
  free_all(blocks);
  std::free(large);
  const std::size_t after = in_use();
  BOOST_TEST(during > before + 120 * MiB);
  BOOST_TEST(during < before + 160 * MiB);
  BOOST_TEST(after < before + 16 * MiB);
}

BOOST_AUTO_TEST_CASE(the_old_mallinfo_says_the_same) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const struct mallinfo old = ::mallinfo();
#pragma GCC diagnostic pop
  const struct mallinfo2 now = ::mallinfo2();
  BOOST_TEST(static_cast<double>(old.uordblks) > 0.8 * static_cast<double>(now.uordblks));
  BOOST_TEST(static_cast<double>(old.uordblks) < 1.2 * static_cast<double>(now.uordblks));
}

/// Its numbers are int, and must not become negative or small. The block is never touched, so it takes no memory.
BOOST_AUTO_TEST_CASE(the_old_mallinfo_does_not_wrap_around) {
  if (!supplied("mallinfo") || without_shim()) return;  // glibc's wraps around
  for (const std::size_t n : {3 * GiB, 5 * GiB}) {
    void* const p = opaque(std::malloc(n));
    BOOST_REQUIRE(p != nullptr);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    const struct mallinfo old = ::mallinfo();
#pragma GCC diagnostic pop
    const struct mallinfo2 now = ::mallinfo2();
    std::free(p);
    BOOST_TEST(now.hblkhd >= n);
    BOOST_TEST(old.hblkhd == INT_MAX);
    BOOST_TEST(static_cast<double>(old.arena) < 1.2 * static_cast<double>(now.arena));  // what fits is as it was
  }
}

BOOST_AUTO_TEST_CASE(stats_are_printed) {
  BOOST_TEST(said([] { ::malloc_stats(); }).size() > 20u);
}

BOOST_AUTO_TEST_CASE(info_is_xml) {
  if (!supplied("malloc_info")) return;
  char text[1 << 16] = "";
  std::FILE* file = ::fmemopen(text, sizeof text, "w");
  BOOST_TEST(::malloc_info(0, file) == 0);
  std::fclose(file);
  BOOST_TEST(std::string(text).rfind("<malloc", 0) == 0u);
  BOOST_TEST(std::string(text).find("</malloc>") != std::string::npos);
  BOOST_TEST(::malloc_info(1, stderr) != 0);
}

/// 1 for what glibc knows and takes, 0 for others: fast bins have blocks of 160 bytes at most, and a threshold above
/// half of an arena's largest heap is refused.
BOOST_AUTO_TEST_CASE(mallopt_takes_what_programs_set) {
  const struct {
    int name, value, taken;
  } settings[] = {{M_ARENA_MAX, 1, 1},
                  {M_ARENA_TEST, 1, 1},
                  {M_MMAP_THRESHOLD, 1 << 20, 1},
                  {M_MMAP_THRESHOLD, 32 << 20, 1},
                  {M_MMAP_THRESHOLD, (32 << 20) + 1, 0},
                  {M_TRIM_THRESHOLD, 1 << 20, 1},
                  {M_TOP_PAD, 1 << 16, 1},
                  {M_MXFAST, 0, 1},
                  {M_MXFAST, 160, 1},
                  {M_MXFAST, 161, 0},
                  {-1000, 0, 0}};
  for (const auto& s : settings)
    BOOST_TEST(::mallopt(s.name, s.value) == s.taken, "mallopt(" << s.name << ", " << s.value << ")");
  free_all(small_blocks());
}

BOOST_AUTO_TEST_CASE(sized_free_of_C23) {
  if (!supplied("free_sized") || !supplied("free_aligned_sized")) return;
  const auto free_sized = reinterpret_cast<void (*)(void*, std::size_t)>(::dlsym(RTLD_DEFAULT, "free_sized"));
  const auto free_aligned_sized =
      reinterpret_cast<void (*)(void*, std::size_t, std::size_t)>(::dlsym(RTLD_DEFAULT, "free_aligned_sized"));
  for (std::size_t n : boundary_sizes(4 * MiB)) {
    void* p = opaque(std::malloc(n));
    fill(p, n);
    free_sized(p, n);
    free_sized(opaque(std::calloc(1, n)), n);
    void* q = opaque(::aligned_alloc(128, n));
    fill(q, n);
    free_aligned_sized(q, 128, n);
  }
  // A block that realloc() has left in its place has the size that it was told.
  for (const std::size_t n : {112ul, 1024ul, 8192ul, 262'144ul, 3'000'000ul})
    for (const std::size_t less : {n / 2 + 1, n - 1})
      free_sized(opaque(std::realloc(opaque(std::malloc(n)), less)), less);
  free_sized(nullptr, 8);
  free_aligned_sized(nullptr, 64, 8);
}

BOOST_AUTO_TEST_SUITE_END()
