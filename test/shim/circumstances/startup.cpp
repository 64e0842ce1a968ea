// SPDX-License-Identifier: BSL-1.0
//
// startup as|data KIB: runs with so much more address space or data than it had when the dynamic loader was done, which
// is before any library's constructors, and so before the heap has begun. Ends with status 0 if whatever could not be
// had was NULL with ENOMEM; says on stdout how many KiB were had.
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace {

// Nothing here may allocate but what is meant to.
[[noreturn]] void fail(const char* words) {
  (void)!::write(STDERR_FILENO, words, std::strlen(words));
  ::_exit(1);
}

rlim_t kib_after(const char* text, const char* name) {
  const char* at = std::strstr(text, name);
  if (!at) fail("/proc/self/status says nothing of this limit\n");
  rlim_t n = 0;
  for (at += std::strlen(name); *at == ' ' || *at == '\t'; ++at) {
  }
  for (; *at >= '0' && *at <= '9'; ++at) n = n * 10 + static_cast<rlim_t>(*at - '0');
  return n;
}

/// By the loader, when everything is in place and nothing has begun.
void limit_myself(int argc, char** argv, char**) {
  if (argc != 3) return;
  static char text[8192];
  const int file = ::open("/proc/self/status", O_RDONLY);
  if (file < 0 || ::read(file, text, sizeof text - 1) <= 0) fail("no /proc/self/status\n");
  ::close(file);
  const bool data = std::strcmp(argv[1], "data") == 0;
  const rlim_t most = (kib_after(text, data ? "VmData:" : "VmSize:") + kib_after(argv[2], "")) * 1024;
  const rlimit limit{most, most};
  if (::setrlimit(data ? RLIMIT_DATA : RLIMIT_AS, &limit) != 0) fail("setrlimit failed\n");
}
__attribute__((section(".preinit_array"), used)) void (*const entry)(int, char**, char**) = limit_myself;

/// The block, touched, or null.
char* had(void* p, std::size_t n, const char* who) {
  if (!p) {
    if (errno != ENOMEM) fail(who);
    return nullptr;
  }
  auto* const bytes = static_cast<char*>(p);
  for (std::size_t i = 0; i < n; i += 1024) bytes[i] = 1;
  bytes[n - 1] = 1;
  return bytes;
}

void each_function(std::size_t n) {
  errno = 0;
  char* p = had(std::malloc(n), n, "malloc: NULL without ENOMEM\n");
  errno = 0;
  char* q = had(std::calloc(n, 2), 2 * n, "calloc: NULL without ENOMEM\n");
  void* aligned = nullptr;
  errno = ::posix_memalign(&aligned, 256, n);
  aligned = had(aligned, n, "posix_memalign: not ENOMEM\n");
  if (p) {
    errno = 0;
    if (char* r = had(std::realloc(p, 3 * n), 3 * n, "realloc: NULL without ENOMEM\n")) p = r;
    if (p[n - 1] != 1) fail("realloc: bytes were lost\n");
  }
  std::free(p);
  std::free(q);
  std::free(aligned);
}

struct node {
  node* next;
};
std::size_t all_of(std::size_t n) {
  node* all = nullptr;
  std::size_t sum = 0;
  for (;;) {
    errno = 0;
    char* p = had(std::malloc(n), n, "malloc: NULL without ENOMEM at the end\n");
    if (!p) break;
    all = new (p) node{all};
    sum += n;
  }
  while (all) std::free(std::exchange(all, all->next));
  return sum;
}

void* in_a_thread(void*) {
  each_function(100);
  return nullptr;
}

}  // namespace

int main(int argc, char**) {
  if (argc != 3) fail("Usage: startup as|data KIB\n");
  for (std::size_t n : {1, 100, 5000, 100'000, 3'000'000, 50'000'000}) each_function(n);
  pthread_t thread;
  if (::pthread_create(&thread, nullptr, in_a_thread, nullptr) == 0) ::pthread_join(thread, nullptr);
  std::size_t most = 0;
  for (std::size_t n : {100, 5000, 100'000, 3'000'000})
    if (const std::size_t sum = all_of(n); sum > most) most = sum;
  const pid_t child = ::fork();
  if (child == 0) {
    each_function(1000);
    ::_exit(0);
  }
  int status = 0;
  if (child > 0) ::waitpid(child, &status, 0);
  if (status != 0) fail("the child failed\n");
  char line[32];
  const int length = std::snprintf(line, sizeof line, "%zu\n", most / 1024);
  return ::write(STDOUT_FILENO, line, static_cast<std::size_t>(length)) != length;
}
