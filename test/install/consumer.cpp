// SPDX-License-Identifier: BSL-1.0
//
// A user's whole program: fibers that meet at a channel, and objects that nobody frees. Prints the version that it was
// compiled against.
#include <cstdio>
#include <heddle/gc.hpp>
#include <heddle/heddle.hpp>
#include <heddle/version.hpp>

struct node {
  heddle::gc::ptr<node> next;
  int value = 0;
};

/// The sum of 0 to n - 1, by way of collected objects.
int sum_of_list(int n) {
  node* first = nullptr;
  for (int i = 0; i < n; ++i) first = heddle::gc::make<node>(first, i);
  heddle::gc::collect();
  int total = 0;
  for (const node* at = first; at != nullptr; at = at->next) total += at->value;
  return total;
}

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
    return total == sum_of_list(100) ? total : -1;
  });
  std::printf("heddle %s: 100 fibers sent %d\n", HEDDLE_VERSION_STRING, sum);
}
