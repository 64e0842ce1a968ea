// SPDX-License-Identifier: BSL-1.0
//
// Many parked fibers, for tests of cycles that pass over them.
#pragma once

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"
#include "witness.hpp"

namespace heddle::testing {

/// Stacks that are watched: more than the least number. The first contiguous ones lie too far apart.
inline constexpr std::size_t watched = 1300;
#ifdef HEDDLE_SEGMENTED
inline constexpr std::size_t many = watched;
#else
inline constexpr std::size_t many = watched + 2600;
#endif

/// Whether the kernel can tell of writes, and heddle asks it.
inline bool is_watching() {
#if defined(__SANITIZE_ADDRESS__)
  return false;
#endif
  const char* const options = std::getenv("HEDDLE_GC");
  if (options != nullptr && std::string_view(options).find("watch=0") != std::string_view::npos) return false;
  const int fd = static_cast<int>(::syscall(SYS_userfaultfd, 1));
  if (fd < 0) return false;
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = std::uint64_t{1} << 15;  // UFFD_FEATURE_WP_ASYNC
  const bool can = ::ioctl(fd, UFFDIO_API, &api) == 0;
  ::close(fd);
  return can;
}

/// On the stack of a fiber.
struct seat {
  witness* volatile plain = nullptr;
  union {
    gc::ptr<witness>
        told;  // made and ended elsewhere: where a fiber stands that grows, nothing of the library is called
  };
  seat() {}
  ~seat() {}
};

inline heddle::fiber_options small_stack() {
  heddle::fiber_options o;
#ifdef HEDDLE_SEGMENTED
  o.stack_size = 1024;
#else
  o.stack_size = std::size_t{32} << 10;
#endif
  return o;
}

/// So many parked fibers, each with an object that nothing else leads to. Each waits for another object, or for the
/// end.
class crowd {
 public:
  explicit crowd(std::size_t n) : seats_(n), owns_(n), expected_(n) {
    // All before the first fiber begins, which looks there.
    for (std::size_t i = 0; i != n; ++i) ways_.push_back(std::make_unique<heddle::channel<witness*>>(1));
    for (std::size_t i = 0; i != n; ++i) {
      expected_[i] = i;
      done_.add(1);
      heddle::go(small_stack(), [this, i, own = static_cast<witness*>(nullptr)]() mutable { stay(i, own); });
    }
    await(n);
  }
  ~crowd() { end(); }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  seat& at(std::size_t i) { return *seats_[i]; }

  /// Puts an object into the fiber's frame, of which nobody is told.
  void put(std::size_t i, std::uint64_t id) {
    expected_[i] = id;
    far_below([&] { at(i).plain = make_witness(id).get(); });
  }
  /// The same by the kernel's hand.
  void put_by_kernel(std::size_t i, std::uint64_t id) {
    expected_[i] = id;
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    far_below([&] {
      witness* const made = make_witness(id).get();
      if (::write(ends[1], &made, sizeof made) != sizeof made) std::abort();
      if (::read(ends[0], const_cast<witness**>(&at(i).plain), sizeof made) != sizeof made) std::abort();
    });
    ::close(ends[0]);
    ::close(ends[1]);
  }
  /// Into a variable of its closure.
  void put_into_closure(std::size_t i, std::uint64_t id) {
    far_below([&] { *owns_[i] = make_witness(id).get(); });
  }
  /// By a gc::ptr.
  void put_told(std::size_t i, std::uint64_t id) { at(i).told = make_witness(id); }
  /// The fiber goes on, gets an object, and waits again.
  void send(std::size_t i, std::uint64_t id) {
    expected_[i] = id;
    const std::size_t before = arrived_;
    far_below([&] { ways_[i]->send(make_witness(id).get()); });
    await(before + 1);
  }
  /// All end. How many had what they should.
  std::size_t end() {
    if (!std::exchange(has_ended_, true))
      for (auto& w : ways_) w->close();
    done_.wait();
    return good_;
  }

 private:
  [[gnu::noinline]] static void fill(seat& s, std::uint64_t id) {
    std::construct_at(&s.told);
    s.plain = make_witness(id).get();
  }
  [[gnu::noinline]] bool next(seat& s, std::size_t i) {
    ++arrived_;
    const std::optional<witness*> got = ways_[i]->receive();
    if (got) s.plain = *got;
    return got.has_value();
  }
  [[gnu::noinline]] void leave(seat& s, std::size_t i, const witness* own) {
    const bool told = s.told == nullptr || s.told->is_whole();
    const bool closed = own == nullptr || own->is_whole();
    good_ += s.plain->is_whole() && s.plain->id == expected_[i] && told && closed ? 1 : 0;
    std::destroy_at(&s.told);
    done_.done();
  }
  void stay(std::size_t i, witness*& own) {
    seat s;
    seats_[i] = &s;
    owns_[i] = &own;
    fill(s, i);
    while (next(s, i)) {
    }
    leave(s, i, own);
  }
  void await(std::size_t arrived) {
    while (arrived_ < arrived) std::this_thread::yield();
  }

  std::vector<seat*> seats_;
  std::vector<witness**> owns_;
  std::vector<std::uint64_t> expected_;
  std::vector<std::unique_ptr<heddle::channel<witness*>>> ways_;
  heddle::wait_group done_;
  std::atomic<std::size_t> arrived_{0}, good_{0};
  bool has_ended_ = false;
};

/// How many a young cycle passes over, after some.
inline std::size_t passed_over_at_last() {
  std::size_t last = 0;
  for (int i = 0; i != 30 && last < watched; ++i) {
    const std::uint64_t before = gc::statistics().fibers_passed_over;
    gc::collect_young();
    last = gc::statistics().fibers_passed_over - before;
  }
  return last;
}
/// The state in which those that stand still are passed over, if that can be.
inline void settle() {
  const std::size_t last = passed_over_at_last();
  if (is_watching())
    BOOST_TEST(last >= watched);
  else
    BOOST_TEST(last == 0U);
}
inline void collect_some() {
  for (int i = 0; i != 4; ++i) {
    far_below([] { make_list(300); });
    gc::collect_young();
  }
}

}  // namespace heddle::testing
