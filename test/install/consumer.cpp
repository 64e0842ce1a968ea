// SPDX-License-Identifier: BSL-1.0
//
// A user's whole program: fibers that meet at a channel. Prints the version that it was compiled against.
#include <cstdio>
#include <heddle/heddle.hpp>
#include <heddle/version.hpp>

int main() {
  const int sum = heddle::run([] {
    heddle::channel<int> numbers(4);
    heddle::wait_group senders;
    for (int i = 0; i < 100; ++i) {
      senders.add();
      heddle::go([&, i] {
        numbers.send(i);
        senders.done();
      });
    }
    auto closer = heddle::spawn([&] {
      senders.wait();
      numbers.close();
    });
    int total = 0;
    for (int n : numbers) total += n;
    closer.join();
    return total;
  });
  std::printf("heddle %s: 100 fibers sent %d\n", HEDDLE_VERSION_STRING, sum);
}
