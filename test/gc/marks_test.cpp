// SPDX-License-Identifier: BSL-1.0
//
// Words that lead astray: to objects that are dead, and from objects that the collector is not told about. The marks of
// every cycle are checked whole.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "add_option.hpp"
#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collect_until;
using heddle::testing::death_of;
using heddle::testing::expect;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::timer;
using heddle::testing::witness;

constexpr std::uintptr_t mask = 0x5A5A'A5A5'3C3C'C3C3;

/// Says which of its kind have ended, and how often.
struct ending {
  static constexpr std::size_t many = 2000;
  ending(std::size_t n, const gc::ptr<ending>& before) : number(n), previous(before), list(make_list(n % 3)) {}
  ~ending() { ++over[number]; }
  static void trace(gc::layout<ending>& l) { l(&ending::previous, &ending::list); }

  std::size_t number;
  gc::ptr<ending> previous;
  gc::ptr<witness> list;
  static inline std::array<std::atomic<int>, many> over{};
};
using addresses = std::array<std::uintptr_t, ending::many>;

/// Objects that nothing has but their masked addresses.
void make_endings(addresses& masked) {
  std::thread([&] {
    gc::ptr<ending> last;
    for (std::size_t i = 0; i != ending::many; ++i) {
      last = gc::make<ending>(i, i % 8 == 0 ? nullptr : last);
      masked[i] = reinterpret_cast<std::uintptr_t>(last.get()) ^ mask;
    }
  }).join();
}

/// The addresses are on a stack again when the objects are dead, while spans are being swept and serve others.
[[gnu::noinline]] void bring_back(const addresses& masked) {
  addresses stale;
  for (std::size_t i = 0; i != stale.size(); ++i) stale[i] = masked[i] ^ mask;
  asm volatile("" : : "r"(stale.data()) : "memory");
  for (int i = 0; i != 6; ++i) {
    witness* const fresh = make_list(500).get();
    gc::collect();
    expect(is_whole_list(fresh));
  }
  stale.fill(0);
  asm volatile("" : : "r"(stale.data()) : "memory");
}

struct zombie {
  gc::ptr<zombie> next;  // types without addresses share kinds, which have no name of their own
};
/// The first member is no gc::ptr, but changes.
struct grave {
  std::uint64_t before;
  zombie* plain;
};
std::array<gc::ptr<zombie>, 64> zombies;  // so that their span stays
gc::ptr<grave> known;

/// Stores the address at once, and leaves it in no register.
[[gnu::noinline]] void appear(std::uintptr_t* at, std::uintptr_t masked) {
  asm volatile("xorq %[mask], %[word]; movq %[word], (%[at]); xorl %k[word], %k[word]"
               : [word] "+r"(masked)
               : [mask] "r"(mask), [at] "r"(at)
               : "memory", "cc");
}

/// Stores the only address of an object now and then, of which the collector is told nothing.
void haunt() {
  std::uintptr_t masked = 0;
  std::thread([&] {
    for (auto& z : zombies) z = gc::make<zombie>();
    known = gc::make<grave>();
    masked = reinterpret_cast<std::uintptr_t>(gc::make<zombie>().get()) ^ mask;
  }).join();
  std::atomic<bool> over{false};
  std::thread collector([&] {
    while (!over) gc::collect();
  });
  auto* const at = reinterpret_cast<std::uintptr_t*>(&known->plain);
  for (const timer t(60s); !t.is_over();) {
    appear(at, masked);
    for (int i = 0; i != 2000; ++i) asm volatile("pause");
    __atomic_store_n(at, 0, __ATOMIC_RELAXED);
    for (int i = 0; i != 2000; ++i) asm volatile("pause");
  }
  over = true;
  collector.join();
}

/// The number that follows `words` in the text.
std::uintptr_t number_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + words.size(), nullptr, 0);
}

struct checks_all {
  checks_all() { heddle::testing::add_option("check"); }
};
BOOST_TEST_GLOBAL_FIXTURE(checks_all);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(marks, heddle::testing::collected_check)

/// A stale word leads to an object that was found dead: neither it nor what it led to comes back, and no destructor
/// runs twice.
BOOST_AUTO_TEST_CASE(a_stale_word_brings_no_dead_object_back) {
  static addresses masked;
  for (int round = 0; round != 5; ++round) {
    for (auto& n : ending::over) n = 0;
    make_endings(masked);
    gc::collect();
    bring_back(masked);
    std::size_t left = 0;
    std::size_t twice = 0;
    // A word of a stack may be the address of one of them, which keeps those before it.
    collect_until([&] {
      left = twice = 0;
      for (auto& n : ending::over) {
        left += n == 0;
        twice += n > 1;
      }
      return left <= 16;
    });
    BOOST_TEST(left <= 16u);
    BOOST_TEST(twice == 0u);
  }
}

/// A word that was written behind the collector's back ends the process, and the report names it as it was: the object
/// that has it, where in that, and what it leads to.
BOOST_AUTO_TEST_CASE(a_word_of_which_nobody_told_is_named) {
  const auto end = death_of(haunt);
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("the collector's marks are not whole"), end.text);
  BOOST_TEST(end.says("grave at 0x"), end.text);
  BOOST_TEST(end.says(" points, 8 bytes from its begin, to "), end.text);
  BOOST_TEST(end.says("zombie at 0x"), end.text);
  const std::uintptr_t from = number_after(end.text, "grave at "), to = number_after(end.text, "zombie at ");
  BOOST_TEST(from % 16 == 0u);
  BOOST_TEST(to % 16 == 0u);
  BOOST_TEST((from != 0 && to != 0 && from != to), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
