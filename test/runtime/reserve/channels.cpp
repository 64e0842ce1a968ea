// SPDX-License-Identifier: BSL-1.0
#include "runtime/reserve/reserve.hpp"

namespace heddle::testing::reserve {
namespace {

heddle::channel<int>* pipe = nullptr;
heddle::receive_case<int>* cases[2] = {};
detail::selection* selected = nullptr;

[[gnu::noinline]] void closes() { pipe->close(); }
[[gnu::noinline]] void receives() { (void)pipe->receive(); }
[[gnu::noinline]] void sends() { pipe->send(1); }
[[gnu::noinline]] void receives_within() { (void)pipe->receive_for(std::chrono::seconds(100)); }
[[gnu::noinline]] void selects() { (void)heddle::select(*cases[0], *cases[1]); }
[[gnu::noinline]] void arranges() {
  selected->arrange();
  selected->lock();
  selected->unlock();
}

void several() {
  heddle::channel<int> one, two;
  heddle::receive_case from_two{two}, from_one{one};
  cases[0] = &from_two;
  cases[1] = &from_one;
  heddle::select_case* order[2];
  detail::selection all(order);
  all.add(&from_two, 0);
  all.add(&from_one, 1);
  selected = &all;
  check<arranges>("lock of two channels");
  pipe = &one;
  for (const auto what : {check<selects>, check<receives_within>}) {
    auto sender = soon([&] { one.send(1); });
    what("select, or receive with a deadline", 1);
    sender.join();
  }
  pipe = nullptr;
  selected = nullptr;
}

}  // namespace

void channels() {
  for (const std::size_t capacity : {0, 3}) {
    heddle::channel<int> c(capacity);
    pipe = &c;
    auto sender = soon([&] { c.send(1); });
    check<receives>("receive");
    sender.join();
    auto reader = soon([&] { (void)c.receive(); });
    check<sends>("send");
    reader.join();
    auto last = heddle::spawn([&] { (void)c.receive(); });
    heddle::this_fiber::yield();
    check<closes>("close");
    last.join();
  }
  several();
}

}  // namespace heddle::testing::reserve
