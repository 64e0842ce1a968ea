// SPDX-License-Identifier: BSL-1.0
//
// What an installed heddle does for code that links heddle::segmented.
#include <cstdio>
#include <heddle/heddle.hpp>
#include <vector>

namespace {

[[gnu::noinline]] int down(int n) {
  volatile int frame[20];
  frame[n % 20] = 1;
  return n == 0 ? 0 : down(n - 1) + frame[n % 20];
}

}  // namespace

int main() {
  return heddle::run([] {
    int frames = 0;
    std::vector<heddle::join_handle<int>> fibers;
    for (int i = 0; i != 1000; ++i) fibers.push_back(heddle::spawn([] { return down(1000); }));
    for (auto& fiber : fibers) frames += fiber.join();
    const bool right = frames == 1'000'000 && heddle::stats().segments != 0;
    if (right) std::puts("1000 fibers went down 1000 frames each, on segments");
    return right ? 0 : 1;
  });
}
