// SPDX-License-Identifier: BSL-1.0
#include "roots/registered.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "barrier/words.hpp"
#include "gc/finder.hpp"
#include "heddle/gc/detail/core.hpp"
#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace heddle::gc::detail;
using heddle::testing::finder;
using heddle::testing::hidden_word;

/// A handle as the collector's are: it may be moved, which leaves nothing behind, and keeps its bits when it ends.
/// Words are exchanged as the collector's are, since others look meanwhile.
class handle {
 public:
  explicit handle(const hidden_word& w) noexcept { w.plant(&word_); }
  handle() noexcept = default;
  handle(handle&& other) noexcept {
    __atomic_store_n(&word_, other.word_, __ATOMIC_RELAXED);
    __atomic_store_n(&other.word_, 0, __ATOMIC_RELAXED);
  }
  handle& operator=(handle&&) = delete;
  ~handle() { std::atomic_signal_fence(std::memory_order_seq_cst); }

 private:
  std::uintptr_t word_ = 0;
};

std::size_t found_in_ranges(const hidden_word& w) {
  finder f(w);
  scan_ranges(f);
  BOOST_TEST(f.unaligned == 0u);
  return f.found;
}
std::size_t found_in_cells(const hidden_word& w) {
  finder f(w);
  scan_root_cells(f);
  return f.found;
}

// Made before main(), when the collector must know of it already.
std::optional<heddle::channel<handle>> early(std::in_place, 4);

const heddle::fiber_local<int> another;  // what the numbers of such variables need is there before the tests

void* address_of(const hidden_word& w) { return reinterpret_cast<void*>(w.reveal()); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(registered, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(values_in_a_channel) {
  const hidden_word w(21), other(22);
  heddle::channel<handle> c(3);
  for (int round = 0; round != 5; ++round) {
    BOOST_TEST(found_in_ranges(w) == 0u);
    c.send(handle(w));
    BOOST_TEST(found_in_ranges(w) == 1u);
    c.send(handle(other));
    c.send(handle(w));
    BOOST_TEST(found_in_ranges(w) == 2u);
    BOOST_TEST(found_in_ranges(other) == 1u);
    for (int i = 0; i != 3; ++i) BOOST_TEST(c.receive().has_value());
    BOOST_TEST(found_in_ranges(other) == 0u);  // ended values leave nothing
  }
}

BOOST_AUTO_TEST_CASE(values_in_a_static_channel) {
  const hidden_word w(23);
  early->send(handle(w));
  BOOST_TEST(found_in_ranges(w) == 1u);
  BOOST_TEST(early->receive().has_value());
  early.reset();
  BOOST_TEST(found_in_ranges(w) == 0u);
}

/// What the memory held before is not told of: not of places that have not been used, nor where a value leaves gaps.
BOOST_AUTO_TEST_CASE(what_was_there_before) {
  struct with_gaps {
    std::array<std::uintptr_t, 3> gap;
    handle last;
    with_gaps() noexcept {}                                                 // NOLINT: the gap stays
    with_gaps(with_gaps&& other) noexcept : last(std::move(other.last)) {}  // NOLINT
  };
  constexpr std::size_t places = 25;
  const hidden_word w(24), sent(34);
  std::array<void*, 100> blocks;
  for (void*& block : blocks) {
    block = ::operator new(places * sizeof(with_gaps));
    for (std::size_t i = 0; i != places * sizeof(with_gaps) / sizeof(void*); ++i)
      w.plant(static_cast<void**>(block) + i);
  }
  for (void* block : blocks) ::operator delete(block);
  heddle::channel<with_gaps> c(places);
  BOOST_TEST(found_in_ranges(w) == 0u);
  with_gaps value;
  new (&value.last) handle(sent);
  c.send(std::move(value));
  BOOST_TEST(found_in_ranges(sent) == 1u);
  BOOST_TEST(found_in_ranges(w) == 0u);
}

/// Ended values leave nothing, even if they were copied out.
BOOST_AUTO_TEST_CASE(values_that_are_only_copied) {
  struct copied {
    std::uintptr_t word = 0;
    explicit copied(const hidden_word& w) { w.plant(&word); }
    copied(const copied& other) noexcept : word(other.word) {}
    ~copied() = default;
  };
  const hidden_word w(35);
  heddle::channel<copied> c(2);
  c.send(copied(w));
  BOOST_TEST(found_in_ranges(w) == 1u);
  BOOST_TEST(c.receive().has_value());
  BOOST_TEST(found_in_ranges(w) == 0u);
}

BOOST_AUTO_TEST_CASE(results_of_futures) {
  const hidden_word w(25);
  {
    heddle::promise<handle> p;
    auto result = p.get_future();
    BOOST_TEST(found_in_ranges(w) == 0u);
    p.set_value(handle(w));
    BOOST_TEST(found_in_ranges(w) == 1u);
    const handle taken = result.get();
    BOOST_TEST(found_in_ranges(w) == 0u);
  }
  heddle::promise<handle> dropped;
  dropped.set_value(handle(w));
  BOOST_TEST(found_in_ranges(w) == 1u);
  dropped = {};
  BOOST_TEST(found_in_ranges(w) == 0u);
}

BOOST_AUTO_TEST_CASE(fiber_local_values) {
  const hidden_word w(26);
  const heddle::fiber_local<handle> variable([&] { return handle(w); });
  heddle::run([&] {
    heddle::spawn([&] {
      BOOST_TEST(found_in_ranges(w) == 0u);
      variable.get();
      BOOST_TEST(found_in_ranges(w) == 1u);
    }).join();
    BOOST_TEST(found_in_ranges(w) == 0u);
  });
}

/// A value may still be used by its own destructor.
BOOST_AUTO_TEST_CASE(values_are_told_of_until_they_have_ended) {
  struct last_look : handle {
    const hidden_word* w;
    std::size_t* seen;
    last_look(const hidden_word& word, std::size_t& at_end) : handle(word), w(&word), seen(&at_end) {}
    last_look(last_look&& other) noexcept
        : handle(std::move(other)), w(other.w), seen(std::exchange(other.seen, nullptr)) {}
    ~last_look() {
      if (seen != nullptr) *seen = found_in_ranges(*w);
    }
  };
  const hidden_word w(27);
  std::size_t in_channel = 0, in_future = 0, in_fiber_local = 0;
  {
    heddle::channel<last_look> c(1);
    c.send(last_look(w, in_channel));
  }
  { heddle::promise<last_look>().set_value(last_look(w, in_future)); }
  {
    const heddle::fiber_local<last_look> variable([&] { return last_look(w, in_fiber_local); });
    heddle::run([&] { variable.get(); });
  }
  BOOST_TEST(in_channel == 1u);
  BOOST_TEST(in_future == 1u);
  BOOST_TEST(in_fiber_local == 1u);
}

/// Only whole words are told of.
BOOST_AUTO_TEST_CASE(values_of_odd_sizes) {
  struct odd {
    char text[13] = {};
    odd() noexcept = default;
    odd(odd&& other) noexcept { std::memcpy(text, other.text, sizeof text); }
  };
  const hidden_word w(30);
  odd value;
  w.plant_bytes(value.text + 3);  // the first place is aligned, so the second one begins 13 bytes later
  heddle::channel<odd> c(5);
  c.send(odd());
  c.send(std::move(value));
  BOOST_TEST(found_in_ranges(w) == 1u);
}

BOOST_AUTO_TEST_CASE(values_without_handles_are_not_told_of) {
  const hidden_word w(28);
  heddle::channel<std::uintptr_t> c(1);
  c.send(w.reveal());
  BOOST_TEST(found_in_ranges(w) == 0u);
}

BOOST_AUTO_TEST_CASE(channels_change_meanwhile) {
  const hidden_word w(29);
  heddle::channel<handle> standing(2), through(16);
  standing.send(handle(w));
  std::atomic<bool> over{false};
  std::thread sends([&] {
    for (; !over; through.send(handle(w))) heddle::channel<std::string>(3).send("x");
    through.close();
  });
  std::thread receives([&] {
    while (through.receive()) {
    }
  });
  for (int i = 0; i != heddle::testing::times(2000); ++i) {
    finder f(w);
    scan_ranges(f);
    if (f.found < 1 || f.found > 17) BOOST_ERROR("told of " << f.found);
  }
  over = true;
  sends.join();
  receives.join();
}

BOOST_AUTO_TEST_CASE(root_cells) {
  const hidden_word w(31);
  std::vector<root_cell> cells(10'000);
  for (root_cell& c : cells) {
    c.address = address_of(w);
    add_root(c);
  }
  BOOST_TEST(found_in_cells(w) == cells.size());
  for (std::size_t i = 0; i < cells.size(); i += 3) cells[i].address = nullptr;
  finder f(w);
  scan_root_cells(f);
  BOOST_TEST(f.found == cells.size() - (cells.size() + 2) / 3);
  BOOST_TEST(f.seen == f.found);  // nothing is told of empty ones
  for (std::size_t i = cells.size(); i-- != 0;) {
    if (i % 2 == 0) remove_root(cells[i]);
    cells[i].address = address_of(w);
  }
  BOOST_TEST(found_in_cells(w) == cells.size() / 2);
  for (std::size_t i = 1; i < cells.size(); i += 2) remove_root(cells[i]);
  BOOST_TEST(found_in_cells(w) == 0u);
  BOOST_TEST(!in_critical());
}

/// Those that stay are told of exactly once, whatever others come and go between them.
BOOST_AUTO_TEST_CASE(root_cells_of_many_threads) {
  const hidden_word w(32);
  constexpr std::size_t stay = 3000;
  std::vector<root_cell> cells(4 * stay);
  for (std::size_t i = 0; i != stay; ++i) {
    cells[4 * i].address = address_of(w);
    add_root(cells[4 * i]);
  }
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (std::size_t t = 1; t != 4; ++t)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t));
      std::vector<bool> is_in(stay);
      const auto turn = [&](std::size_t i) {
        is_in[i] ? remove_root(cells[4 * i + t]) : add_root(cells[4 * i + t]);
        is_in[i] = !is_in[i];
      };
      while (!over) turn(random() % stay);
      for (std::size_t i = 0; i != stay; ++i)
        if (is_in[i]) turn(i);
    });
  for (int i = 0; i != heddle::testing::times(300); ++i)
    if (const std::size_t found = found_in_cells(w); found != stay) BOOST_ERROR("told of " << found);
  over = true;
  for (std::thread& t : threads) t.join();
  for (std::size_t i = 0; i != stay; ++i) remove_root(cells[4 * i]);
  BOOST_TEST(found_in_cells(w) == 0u);
}

/// A child of a fork finds the lists whole, and free to be used, whatever the other threads were doing.
BOOST_AUTO_TEST_CASE(children_of_forks) {
  struct alignas(4096) neighbours {  // in one part of the lists
    std::array<root_cell, 50> cells;
    std::optional<heddle::channel<std::string>> made;
    root_cell of_child;
    std::optional<heddle::channel<handle>> made_by_child;
  };
  const hidden_word w(33);
  const auto all = std::make_unique<neighbours>();
  std::atomic<bool> over{false};
  std::thread busy([&] {
    while (!over) {
      for (root_cell& c : all->cells) add_root(c);
      for (int i = 0; i != 50; ++i) all->made.emplace(1);
      for (root_cell& c : all->cells) remove_root(c);
    }
    all->made.reset();
  });
  for (int i = 0; i != heddle::testing::times(300); ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      all->of_child.address = address_of(w);
      add_root(all->of_child);
      const bool right = found_in_cells(w) == 1 && !in_critical();
      remove_root(all->of_child);
      all->made_by_child.emplace(1).send(handle(w));
      ::_exit(right && found_in_ranges(w) == 1 && found_in_cells(w) == 0 ? 0 : 1);
    }
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    if (status != 0) BOOST_ERROR("a child ends with " << status);
  }
  over = true;
  busy.join();
}

BOOST_AUTO_TEST_SUITE_END()
