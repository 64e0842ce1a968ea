// SPDX-License-Identifier: BSL-1.0
//
// The __splitstack_* interface: other libraries' contexts.
#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdlib>

#include "heddle/heddle.hpp"
#include "runtime/segmented/small_stacks.hpp"

using heddle::testing::beside_others;
using heddle::testing::deep;
using heddle::testing::opaque;

extern "C" {
void* __splitstack_makecontext(std::size_t, void*, std::size_t*) noexcept;
void __splitstack_releasecontext(void*) noexcept;
void __splitstack_getcontext(void*) noexcept;
void __splitstack_setcontext(void*) noexcept;
void* __splitstack_find(void*, void*, std::size_t*, void**, void**, void**) noexcept;
}

namespace {
/// A stack as Boost.Context's segmented_stack makes them, and a switch to it and back.
int on_a_context_of_its_own(int n) {
  struct crossing {
    std::array<void*, 10> mine{}, other{};
    int n = 0;
    int result = 0;
  } c;
  c.n = n;
  std::size_t size = 0;
  char* const bottom = static_cast<char*>(__splitstack_makecontext(16'384, c.other.data(), &size));
  const auto inside = [](boost::context::detail::transfer_t t) {
    auto& here = *static_cast<crossing*>(t.data);
    here.result = deep(here.n);
    __splitstack_getcontext(here.other.data());
    __splitstack_setcontext(here.mine.data());
    boost::context::detail::jump_fcontext(t.fctx, nullptr);
  };
  const auto context = boost::context::detail::make_fcontext(bottom + size, size, inside);
  __splitstack_getcontext(c.mine.data());
  __splitstack_setcontext(c.other.data());
  boost::context::detail::jump_fcontext(context, &c);
  __splitstack_releasecontext(c.other.data());
  return c.result;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(splitstack)

BOOST_AUTO_TEST_CASE(contexts_within_a_fiber) {
  beside_others([] {
    if (on_a_context_of_its_own(opaque(5'000)) != 5'000 || deep(opaque(1'000)) != 1'000) std::abort();
  });
}
BOOST_AUTO_TEST_CASE(contexts_on_a_plain_thread) { BOOST_TEST(on_a_context_of_its_own(opaque(5'000)) == 5'000); }

[[gnu::noinline]] std::size_t segments_seen(int n, std::size_t& bytes) {
  volatile char frame[1000];
  frame[0] = 1;
  if (n != 0) return segments_seen(n - 1, bytes) + (frame[0] - 1u);
  std::size_t segments = 0;
  std::size_t length = 0;
  void* next = nullptr;
  void* sp = nullptr;
  void* first = nullptr;
  for (void* at = __splitstack_find(nullptr, nullptr, &length, &next, &sp, &first); at != nullptr;
       at = next != nullptr ? __splitstack_find(next, nullptr, &length, &next, &sp, &first) : nullptr) {
    ++segments;
    bytes += length;
  }
  return segments;
}
BOOST_AUTO_TEST_CASE(find_goes_through_all_segments) {
  heddle::run([] {
    std::size_t bytes = 0;
    BOOST_TEST(segments_seen(opaque(200), bytes) >= 3);
    BOOST_TEST(bytes > 200'000);
  });
}

BOOST_AUTO_TEST_SUITE_END()
