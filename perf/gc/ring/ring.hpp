// SPDX-License-Identifier: BSL-1.0
//
// A buffer of the last 200,000 messages of 1 KiB each: how long does one who adds a message wait? After the table of
// messages of Pusher's engineers (2016), which asks a collector for short stops beside many old objects.
#pragma once

#include <cstring>

#include "gc/common/waits.hpp"

namespace perf::gc {

struct message {
  using no_links = void;
  unsigned char contents[1'024];
};

/// What message i has begins at place i % 251 of this.
class pattern {
 public:
  pattern() {
    for (std::size_t i = 0; i < sizeof bytes_; ++i) bytes_[i] = static_cast<unsigned char>(i % 251);
  }
  const unsigned char* of(std::uint64_t i) const { return bytes_ + i % 251; }

 private:
  unsigned char bytes_[sizeof(message) + 251];
};

template <class M>
void push_messages(const arguments& args, waits& times) {
  const std::uint64_t size = args["size"];
  const pattern contents;
  auto ring = M::template make_array<typename M::template link<message>>(size);
  for (std::uint64_t i = 0; i < size + args["messages"]; ++i) {
    const double begin = now();
    auto fresh = M::template make<message>();
    std::memcpy(M::at(fresh)->contents, contents.of(i), sizeof(message));
    auto& slot = ring[i % size];
    if constexpr (M::by_hand) M::release(M::at(slot));
    slot = std::move(fresh);
    if (i >= size) times.add(now() - begin);
    if (i % 64 == 0) M::yield();
  }
  for (std::uint64_t i = args["messages"]; i < size + args["messages"]; ++i) {
    const message* one = M::at(ring[i % size]);
    require(std::memcmp(one->contents, contents.of(i), sizeof(message)) == 0, "a message was overwritten");
    if constexpr (M::by_hand) M::release(M::at(ring[i % size]));
  }
  M::release_array(ring);
}

template <class M>
int ring(int argc, char** argv) {
  const arguments args(argc, argv, {{"size", 200'000}, {"messages", 2'000'000}});
  require(args["size"] > 0, "--size must be at least 1");
  report report;
  M::run(args, [&] {
    waits times;
    const double ns = timed([&] { push_messages<M>(args, times); });
    report.add("wall_ms", ns / 1e6);
    times.print(report, "push");
  });
  report.print();
  return 0;
}

}  // namespace perf::gc
