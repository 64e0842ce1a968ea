// SPDX-License-Identifier: BSL-1.0
#include "runtime/reserve/reserve.hpp"

namespace heddle::testing::reserve {
namespace {

detail::group_core* limited = nullptr;

[[gnu::noinline]] void gets_place() {
  if (limited->enter()) limited->leave();
}
[[gnu::noinline]] void leaves_place() { limited->leave(); }

}  // namespace

void groups() {
  detail::group_core one_place(1, detail::no_deadline, {});
  limited = &one_place;
  check<gets_place>("place of a group");
  one_place.enter();
  auto leaver = soon([&] { one_place.leave(); });
  check<gets_place>("place of a group, taken");
  leaver.join();
  one_place.enter();
  auto next = heddle::spawn([] { gets_place(); });
  heddle::this_fiber::yield();
  check<leaves_place>("place given on");
  next.join();
}

}  // namespace heddle::testing::reserve
