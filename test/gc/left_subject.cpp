// SPDX-License-Identifier: BSL-1.0
//
// A program whose main thread leaves: when its fibers have ended it ends, though a collector has a thread.
#include <pthread.h>
#include <unistd.h>

#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"

int main() {
  ::alarm(20);
  heddle::go([] { heddle::gc::collect(); });
  ::pthread_exit(nullptr);
}
