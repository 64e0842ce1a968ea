// SPDX-License-Identifier: BSL-1.0
//
// Closures, arguments and results that are larger than a stack: they are built on the heap, and used there.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <memory>
#include <stdexcept>

#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"

namespace {

constexpr std::size_t huge = std::size_t{300} << 10;

/// An object larger than a stack. Copies and moves itself without a copy of it on the stack.
template <std::size_t Align = 16>
struct alignas(Align) cargo {
  inline static std::atomic<int> alive{0};
  inline static std::atomic<int> moved{0};
  std::array<char, huge> data;

  explicit cargo(char filling) noexcept { fill(filling); }
  cargo(const cargo& other) noexcept { fill(other.data.front()); }
  cargo(cargo&& other) noexcept {
    fill(other.data.front());
    ++moved;
  }
  ~cargo() { --alive; }

  bool whole(char filling) const noexcept {
    return data.front() == filling && data.back() == filling && reinterpret_cast<std::uintptr_t>(this) % Align == 0;
  }

 private:
  void fill(char filling) noexcept {
    data.fill(filling);
    ++alive;
  }
};

/// A function object of that size.
template <std::size_t Align = 16>
struct large_work {
  std::atomic<int>* right;
  cargo<Align> load{'w'};

  explicit large_work(std::atomic<int>& counter) : right(&counter) {}
  void operator()() const { *right += load.whole('w') ? 1 : -100; }
};

/// f() on a plain thread, where a runtime starts by itself, and as a fiber that has a small stack.
template <class F>
void everywhere(F f) {
  f();
  heddle::shutdown();
  heddle::run([&] { heddle::spawn(heddle::fiber_options{.stack_size = std::size_t{64} << 10}, std::ref(f)).join(); },
              {.stack_size = std::size_t{64} << 10});
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(closures, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(large_ones_stand_on_no_stack) {
  std::atomic<int> right{0};
  const auto work = std::make_unique<large_work<>>(right);
  everywhere([&] {
    right = 0;
    heddle::wait_group all(1);
    heddle::group children;
    heddle::spawn(*work).join();
    heddle::spawn({.name = "named"}, *work).join();
    all.go(*work);
    children.spawn(*work);
    BOOST_TEST(children.try_spawn(*work));
    heddle::go([&] { all.done(); });
    all.wait();
    children.wait();
    heddle::go(*work);
    heddle::go({.name = "named"}, *work);
    while (right != 7) heddle::this_fiber::yield();
  });
  BOOST_TEST(cargo<>::alive == 1);
}

BOOST_AUTO_TEST_CASE(so_do_arguments) {
  const auto load = std::make_unique<cargo<>>('a');
  std::atomic<int> right{0};
  everywhere([&] {
    right = 0;
    const auto look = [&right](const cargo<>& c) { right += c.whole('a') ? 1 : -100; };
    heddle::spawn(look, *load).join();
    heddle::go(look, *load);
    while (right != 2) heddle::this_fiber::yield();
  });
  BOOST_TEST(cargo<>::alive == 1);
}

BOOST_AUTO_TEST_CASE(and_results) {
  everywhere([] {
    auto h = heddle::spawn([] { return cargo<>('r'); });
    const std::unique_ptr<cargo<>> result(new cargo<>(h.join()));
    BOOST_TEST(result->whole('r'));
    BOOST_TEST(cargo<>::alive == 1);
    heddle::spawn([] { return cargo<>('d'); }).detach();
    (void)heddle::spawn([] { return cargo<>('d'); });  // dropped
  });
  BOOST_TEST(cargo<>::alive == 0);
}

BOOST_AUTO_TEST_CASE(of_any_alignment) {
  std::atomic<int> right{0};
  const auto work = std::make_unique<large_work<4096>>(right);
  everywhere([&] {
    right = 0;
    heddle::wait_group all;
    heddle::group children;
    heddle::spawn(*work).join();
    all.go(*work);
    children.spawn(*work);
    all.wait();
    children.wait();
    const std::unique_ptr<cargo<4096>> result(new cargo<4096>(heddle::spawn([] { return cargo<4096>('r'); }).join()));
    BOOST_TEST(result->whole('r'));
    BOOST_TEST(right == 3);
  });
  // Small ones too.
  struct alignas(64) line {
    char c = 'l';
  };
  const line one;
  everywhere([&] {
    auto h = heddle::spawn([one] { return reinterpret_cast<std::uintptr_t>(&one) % 64 == 0 && one.c == 'l'; });
    BOOST_TEST(h.join());
    BOOST_TEST(heddle::spawn([] { return line{'r'}; }).join().c == 'r');
  });
}

BOOST_AUTO_TEST_CASE(they_are_copied_once_and_never_moved) {
  std::atomic<int> right{0};
  const auto work = std::make_unique<large_work<>>(right);
  heddle::run([&] {
    const int moved = cargo<>::moved;
    heddle::wait_group all;
    heddle::spawn(*work).join();
    all.go(*work);
    all.wait();
    BOOST_TEST(cargo<>::moved == moved);
    heddle::spawn([](const cargo<>&) {}, std::move(work->load)).join();
    BOOST_TEST(cargo<>::moved == moved + 1);
    const std::unique_ptr<cargo<>> result(new cargo<>(heddle::spawn([] { return cargo<>('r'); }).join()));
    BOOST_TEST(cargo<>::moved == moved + 2);  // out of the fiber, by join()
  });
}

BOOST_AUTO_TEST_CASE(they_return_references_and_nothing_and_throw) {
  heddle::run([] {
    int there = 0;
    const std::array<char, 100> bulk{};  // more than has its place in the control block
    auto reference = heddle::spawn([&there, bulk]() -> int& { return bulk[0] == 0 ? there : *new int; });
    BOOST_TEST(&reference.join() == &there);
    heddle::spawn([&there, bulk] { there = bulk[1] + 5; }).join();
    BOOST_TEST(there == 5);
    auto bad = heddle::spawn([bulk]() -> int { throw std::runtime_error(bulk[2] == 0 ? "thrown" : ""); });
    BOOST_CHECK_EXCEPTION(bad.join(), std::runtime_error,
                          [](const auto& e) { return e.what() == std::string("thrown"); });
    auto unseen = heddle::spawn([bulk]() -> int { throw std::runtime_error(bulk[2] == 0 ? "thrown" : ""); });
    unseen.detach();
    auto owner = heddle::spawn([bulk] { return std::make_unique<int>(bulk[3] + 3); });
    BOOST_TEST(*owner.join() == 3);
  });
}

/// An object that cannot be copied, and so cannot be put into the fiber.
struct stubborn {
  std::array<char, 200> bulk{};
  stubborn() = default;
  stubborn(const stubborn&) { throw std::runtime_error("stays"); }
  void operator()() const {}
};
BOOST_AUTO_TEST_CASE(one_that_cannot_be_built_leaves_nothing) {
  const stubborn work;
  everywhere([&] {
    heddle::wait_group all;
    heddle::group children;
    BOOST_CHECK_THROW(heddle::go(work), std::runtime_error);
    BOOST_CHECK_THROW((void)heddle::spawn(work), std::runtime_error);
    BOOST_CHECK_THROW(all.go(work), std::runtime_error);
    BOOST_CHECK_THROW(children.spawn(work), std::runtime_error);
    all.wait();
    children.wait();
  });
}

BOOST_AUTO_TEST_CASE(what_they_hold_is_gone_when_they_are_waited_for) {
  heddle::run([] {
    const auto held = std::make_shared<int>(1);
    const std::array<char, 100> bulk{};
    const auto work = [held, bulk] {
      if (bulk[0] == 0 && *held == 1) heddle::this_fiber::yield();
    };
    for (int i = 0; i != 20; ++i) {
      heddle::wait_group all;
      all.go(work);
      all.wait();
      BOOST_TEST(held.use_count() == 2);  // here, and in `work`
      heddle::group children;
      children.spawn(work);
      children.wait();
      BOOST_TEST(held.use_count() == 2);
      auto h = heddle::spawn(work);
      heddle::this_fiber::yield();
      h.join();
      BOOST_TEST(held.use_count() == 2);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
