// SPDX-License-Identifier: BSL-1.0
//
// frugal WAY LIMIT FILE PERCENT: lives in a memory cgroup of LIMIT bytes, whose use FILE tells, with blocks that take
// PERCENT of it, of one size after those of another, which together would be far too much. WAY:
//   reuse    what was freed serves the next size
//   trim     malloc_trim() gives it back
//   wait     the allocator gives back by itself, after a while in which it is called now and then
// Ends with status 0 if all went well. What goes wrong may end with the kernel's killing it.
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace {

constexpr std::size_t sizes[] = {100, 1000, 20'000, 300'000, 3'000'000};

struct node {
  node* next;
};

const char* usage_file;

std::size_t in_use() {
  char text[32] = "";
  const int file = ::open(usage_file, O_RDONLY);
  if (file < 0 || ::read(file, text, sizeof text - 1) <= 0) std::perror(usage_file), std::_Exit(1);
  ::close(file);
  return std::strtoul(text, nullptr, 10);
}

node* take(std::size_t n, std::size_t bytes) {
  node* all = nullptr;
  for (std::size_t sum = 0; sum < bytes; sum += n) {
    auto* p = static_cast<node*>(std::malloc(n));
    if (!p) std::fprintf(stderr, "no block of %zu bytes after %zu\n", n, sum), std::_Exit(1);
    std::memset(static_cast<void*>(p), 1, n);
    p->next = all;
    all = p;
  }
  return all;
}
void give(node* all) {
  while (all) std::free(std::exchange(all, all->next));
}

void must_fall_below(std::size_t bytes, const char* how, std::size_t n) {
  const std::size_t now = in_use();
  if (now < bytes) return;
  std::fprintf(stderr, "%s: %zu KiB are in use after blocks of %zu were freed, not below %zu\n", how, now >> 10, n,
               bytes >> 10);
  std::_Exit(1);
}

void wait_below(std::size_t bytes, std::size_t n) {
  const std::time_t end = std::time(nullptr) + 20;
  while (in_use() >= bytes && std::time(nullptr) < end) {
    ::usleep(50'000);
    void* volatile p = std::malloc(10);
    std::free(p);
  }
  must_fall_below(bytes, "waiting", n);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fputs("Usage: frugal reuse|trim|wait LIMIT FILE PERCENT\n", stderr), 2;
  const char way = argv[1][0];
  const std::size_t limit = std::strtoul(argv[2], nullptr, 10);
  usage_file = argv[3];
  const std::size_t part = limit / 100 * std::strtoul(argv[4], nullptr, 10), little = limit * 3 / 10;
  // Of a huge page that was given back in part, the account keeps all until the group is at its limit.
  if (way != 'r' && ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) return std::perror("PR_SET_THP_DISABLE"), 1;
  for (int round = 0; round != (way == 'r' ? 3 : 1); ++round)
    for (std::size_t n : sizes) {
      give(take(n, part));
      if (way == 't') ::malloc_trim(0), must_fall_below(little, "malloc_trim()", n);
      if (way == 'w') wait_below(little, n);
    }
  return 0;
}
