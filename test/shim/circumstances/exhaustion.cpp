// SPDX-License-Identifier: BSL-1.0
//
// exhaustion SIZE THREADS: allocates blocks of SIZE bytes until NULL, frees them, and again, by several threads at
// once. Ends with status 0 if NULL always came with ENOMEM and memory came back after it was freed; prints how many KiB
// were had. Started anew under each limit, since a heap that exists already may have reserved what it needs.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

struct node {
  node* next;
};

[[noreturn]] void fail(const char* words) {
  std::fputs(words, stderr);
  std::_Exit(1);
}

/// Allocates until NULL, touching every page; the list of the blocks, and how many they are.
node* take_all(std::size_t size, long& count) {
  node* blocks = nullptr;
  for (count = 0;; ++count) {
    errno = 0;
    auto* p = static_cast<node*>(std::malloc(size));
    if (!p) break;
    for (std::size_t i = 0; i < size; i += 4096) reinterpret_cast<char*>(p)[i] = 1;
    p->next = blocks;
    blocks = p;
  }
  if (errno != ENOMEM) fail("NULL came without ENOMEM\n");
  return blocks;
}

void give_all(node* blocks) {
  while (blocks) {
    node* next = blocks->next;
    std::free(blocks);
    blocks = next;
  }
}

void use_other_sizes() {
  for (std::size_t n : {10ul, 1000ul, 100'000ul}) {
    void* p = std::malloc(n);
    if (!p) fail("what was freed cannot be used for another size\n");
    p = std::realloc(p, 2 * n);
    if (!p) fail("what was freed cannot be used to grow\n");
    std::free(p);
  }
}

/// Until NULL and back, three times; the later times must not get much less than the first.
long repeat(std::size_t size, bool alone) {
  long first = 0;
  for (int i = 0; i != 3; ++i) {
    long count = 0;
    give_all(take_all(size, count));
    if (i == 0) first = count;
    if (alone && count < first / 2) fail("less than half could be had again\n");
    if (alone) use_other_sizes();
  }
  return first;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) fail("Usage: exhaustion SIZE THREADS\n");
  const std::size_t size = std::max(std::strtoul(argv[1], nullptr, 10), sizeof(node));
  const int threads = std::atoi(argv[2]);
  std::thread others[16];
  for (int t = 1; t < threads; ++t) others[t] = std::thread(repeat, size, false);
  const long count = repeat(size, threads == 1);
  for (int t = 1; t < threads; ++t) others[t].join();
  std::printf("%ld\n", count * static_cast<long>(size) / 1024);
  return 0;
}
