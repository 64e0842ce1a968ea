// SPDX-License-Identifier: BSL-1.0
#include <optional>
#include <utility>

#include "runtime/reserve/reserve.hpp"

namespace heddle::testing::reserve {
namespace {

heddle::mutex* contended = nullptr;

[[gnu::noinline]] void locks_free() {
  contended->lock();
  contended->unlock();
}

// With bounds: the large waiter stands in the user's frame, and what is called with it, private to the locks, is called
// at the limit. Their explicit instantiation may name what is private.
template <auto mutex_lock, auto shared_lock, auto shared_lock_shared, auto shared_come_in>
struct private_entries {
  friend auto lock_bounded(heddle::mutex&) { return mutex_lock; }
  friend auto lock_bounded(heddle::shared_mutex&) { return shared_lock; }
  friend auto lock_shared_bounded(heddle::shared_mutex&) { return shared_lock_shared; }
  friend auto come_in(heddle::shared_mutex&) { return shared_come_in; }
};
auto lock_bounded(heddle::mutex&);
auto lock_bounded(heddle::shared_mutex&);
auto lock_shared_bounded(heddle::shared_mutex&);
auto come_in(heddle::shared_mutex&);
template struct private_entries<&heddle::mutex::lock_bounded, &heddle::shared_mutex::lock_bounded,
                                &heddle::shared_mutex::lock_shared_bounded, &heddle::shared_mutex::come_in>;
template <class Outcome, class Attempt>
Attempt argument_of(Outcome (heddle::mutex::*)(Attempt&) noexcept);
using bounded_attempt = decltype(argument_of(lock_bounded(std::declval<heddle::mutex&>())));

heddle::shared_mutex* shared = nullptr;
heddle::recursive_mutex* recursive = nullptr;
std::optional<bounded_attempt> attempt;
std::optional<detail::bounded_waiter> bounded;
const detail::wait_bounds an_hour{detail::monotonic_now() + 3'600'000'000'000, nullptr};

/// The waiters are those of the fiber that waits.
void make_waiters() {
  attempt.emplace(an_hour);
  bounded.emplace(an_hour);
}

[[gnu::noinline]] void locks_bounded() { (void)(contended->*lock_bounded(*contended))(*attempt); }
[[gnu::noinline]] void locks_alone() { shared->lock(); }
[[gnu::noinline]] void locks_alone_bounded() { (void)(shared->*lock_bounded(*shared))(*bounded); }
[[gnu::noinline]] void locks_shared() { shared->lock_shared(); }
[[gnu::noinline]] void locks_shared_bounded() {
  if (!(shared->*come_in(*shared))()) (void)(shared->*lock_shared_bounded(*shared))(*bounded);
}
[[gnu::noinline]] void locks_recursive() {
  recursive->lock();
  recursive->unlock();
}

/// `what` locks while `unlock` is still to come; when it has come, `undo` takes back what has been locked.
template <void (*what)(), class Unlock, class Undo>
void check_waiting(const char* name, Unlock unlock, Undo undo) {
  auto holder = soon(unlock);
  check<what, make_waiters>(name);
  holder.join();
  undo();
}

}  // namespace

/// Waiting for a lock, within bounds or not: for a mutex, for readers, for a writer.
void locks() {
  heddle::mutex m;
  contended = &m;
  check<locks_free>("lock");
  m.lock();
  auto holder = soon([&] { m.unlock(); });
  check<locks_free>("lock that is held");
  holder.join();
  m.lock();
  check_waiting<locks_bounded>(
      "lock within bounds", [&] { m.unlock(); }, [&] { m.unlock(); });

  heddle::shared_mutex s;
  shared = &s;
  const auto unlock = [&] { s.unlock(); };
  const auto unlock_shared = [&] { s.unlock_shared(); };
  s.lock_shared();
  check_waiting<locks_alone>("lock that readers hold", unlock_shared, unlock);
  s.lock_shared();
  check_waiting<locks_alone_bounded>("the same within bounds", unlock_shared, unlock);
  s.lock();
  check_waiting<locks_shared>("lock_shared", unlock, unlock_shared);
  s.lock();
  check_waiting<locks_shared_bounded>("the same within bounds", unlock, unlock_shared);

  heddle::recursive_mutex r;
  recursive = &r;
  check<locks_recursive>("lock of a recursive mutex");
}

}  // namespace heddle::testing::reserve
