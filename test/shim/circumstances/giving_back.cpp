// SPDX-License-Identifier: BSL-1.0
//
// giving_back WAY: a program that has freed much; it checks its memory and its process afterwards. WAY:
//   calls             one thread, which calls now and then
//   trim              one thread, which sleeps; malloc_trim()
//   sleeps            two threads, which sleep
//   two               two threads, of which one calls now and then; there is to be no third
//   stays             two threads, of which one calls now and then; nothing is to go back
//   exit              one thread, which ends by pthread_exit()
//   exit_of_main      two threads, of which the first ends by pthread_exit()
//   joins             threads come and go
//   no_clone          one thread, which is killed if it makes another
//   two_no_clone      two threads, which are killed if they make another
//   filtered          one thread, which is killed for calls that do not concern memory
//   two_filtered      two threads, which are killed for such calls
//   threads_filtered  one thread, which is killed if it opens a file, and then makes another
//   no_madvise        one thread, which is killed if it gives memory back
//   refused           two threads; a third is refused for a while
//   late              one thread, which calls without a pause; HEDDLE_MALLOC has pace=2000
//   child             two threads; a child of theirs has two of its own, which sleep
//   lone_child        two threads; a child of theirs has one, which calls now and then
//   class             two threads; the thread that frees is bound to a CPU and of a class for real time
// It is compiled with thread-local variables of several sizes (THREAD_LOCALS). Ends with status 0 if all was well.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <string_view>

namespace {

constexpr std::size_t MiB = std::size_t{1} << 20;
constexpr long limit = 20;  // seconds, for things that take a fraction of one
constexpr std::size_t much = 96 * MiB, little = 24 * MiB;

thread_local volatile char large_thread_local[THREAD_LOCALS];

[[noreturn]] void fail(const char* words) {
  (void)!::write(STDERR_FILENO, words, std::strlen(words));
  ::_exit(1);
}

void insist(bool condition, const char* words) {
  if (!condition) fail(words);
}

/// That anybody has made, for however short a time: see pthread_create() at the end.
std::atomic<int> threads_made{0};

/// How many threads the process has, its own and others.
unsigned long tasks() {
  struct stat s {};
  insist(::stat("/proc/self/task", &s) == 0, "no /proc/self/task");
  return s.st_nlink - 2;
}

std::size_t resident() {
  static int file = -1;
  static pid_t whose = 0;  // a child's is another file
  if (const pid_t self = ::getpid(); self != whose) file = ::open("/proc/self/statm", O_RDONLY), whose = self;
  char text[128];
  const ssize_t n = ::pread(file, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = 0;
  char* behind = nullptr;
  std::strtoul(text, &behind, 10);
  return std::strtoul(behind, nullptr, 10) * 4096;
}

void pause_ms(long ms) {
  const timespec t{ms / 1000, ms % 1000 * 1'000'000};
  ::nanosleep(&t, nullptr);
}

/// Whether f() becomes true before long.
template <class F>
bool becomes(F f) {
  for (const std::time_t end = std::time(nullptr) + limit; std::time(nullptr) <= end; pause_ms(10))
    if (f()) return true;
  return false;
}

/// Blocks of all kinds, used and freed. errno must stay as it is.
void free_much() {
  constexpr std::size_t sizes[] = {700, 20'000, 100'000, 3'000'000};
  struct node {
    node* next;
  };
  for (const std::size_t n : sizes) {
    node* all = nullptr;
    for (std::size_t sum = 0; sum < much; sum += n) {
      auto* const p = static_cast<node*>(std::malloc(n));
      insist(p != nullptr, "no memory");
      std::memset(static_cast<void*>(p), 1, n);
      p->next = all;
      all = p;
    }
    errno = 77;
    while (all != nullptr) {
      node* const next = all->next;
      std::free(all);
      insist(errno == 77, "free() has changed errno");
      all = next;
    }
  }
}

/// A pair of calls that take the short paths only.
void call() {
  void* volatile p = std::malloc(10);
  errno = 77;
  std::free(p);
  insist(errno == 77, "free() has changed errno");
}

bool falls_by_calls() {
  return becomes([] {
    call();
    return resident() < little;
  });
}

// --- another thread ------------------------------------------------------------------------------------------------

std::atomic<bool> is_there{false}, shall_end{false}, main_has_ended{false};
std::atomic<pid_t> last_thread{0};

void begin_another() {
  std::free(std::malloc(100));
  large_thread_local[THREAD_LOCALS - 1] = 1;
  is_there = true;
}

void* sleeper(void*) {
  begin_another();
  while (!shall_end) pause_ms(10);
  return nullptr;
}

/// Outlives the first thread.
void* survivor(void*) {
  begin_another();
  while (!main_has_ended) pause_ms(1);
  insist(becomes([] { return tasks() == 2; }), "there are others beside this thread and what is left of the first");
  last_thread = ::gettid();
  return nullptr;
}

pthread_t start(void* (*f)(void*)) {
  pthread_t thread{};
  is_there = false;
  insist(::pthread_create(&thread, nullptr, f, nullptr) == 0, "no thread");
  while (!is_there) pause_ms(1);
  return thread;
}

/// Called at the end of the process, by its last thread.
void check_last_thread() {
  insist(::gettid() == last_thread || ::gettid() == ::getpid(), "another than the program's threads was the last");
}

// --- what the kernel is asked for -----------------------------------------------------------------------------------

/// By libc, as a rule; a program that makes all its system calls itself is not heard.
enum class way_to_ask { libc, kernel };

/// Has the process killed for these calls.
void kill_for(std::initializer_list<unsigned> calls, way_to_ask how = way_to_ask::libc) {
  std::array<sock_filter, 40> program;
  std::size_t n = 0;
  program[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (const unsigned call : calls) {
    program[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
    program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  }
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog filter{static_cast<unsigned short>(n), program.data()};
  insist((how == way_to_ask::libc ? ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                                  : ::syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) == 0,
         "no PR_SET_NO_NEW_PRIVS");
  insist(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0, "no seccomp");
}

/// All that the allocator might call but for memory.
void kill_for_all_but_memory() {
  kill_for({SYS_clone, SYS_clone3, SYS_open, SYS_openat, SYS_getrandom, SYS_prctl, SYS_seccomp, SYS_sched_setaffinity,
            SYS_sched_setscheduler, SYS_rt_sigprocmask, SYS_sigaltstack, SYS_membarrier, SYS_msync, SYS_prlimit64});
}

void set_most_threads(rlim_t n) {
  rlimit r{};
  ::getrlimit(RLIMIT_NPROC, &r);
  r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
  insist(::setrlimit(RLIMIT_NPROC, &r) == 0, "no RLIMIT_NPROC");
}

pid_t scavenger() {
  pid_t found = 0;
  DIR* const all = ::opendir("/proc/self/task");
  while (const dirent* const e = ::readdir(all)) {
    char path[300], name[32] = "";
    std::snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
    const int file = ::open(path, O_RDONLY);
    if (file < 0) continue;
    (void)!::read(file, name, sizeof name - 1);
    ::close(file);
    if (std::strncmp(name, "heddle-scav", 11) == 0) found = std::atoi(e->d_name);
  }
  ::closedir(all);
  return found;
}

// --- the ways -------------------------------------------------------------------------------------------------------

void calls() {
  free_much();
  insist(falls_by_calls(), "memory does not go back");
  insist(tasks() == 1, "a process of one thread has another");
  insist(threads_made == 0, "a process of one thread had another for a while");
}

void trim() {
  free_much();
  insist(::malloc_trim(0) == 1, "malloc_trim() has found nothing");
  insist(resident() < little, "malloc_trim() has not given it back");
  insist(tasks() == 1, "a process of one thread has another");
}

void sleeps() {
  start(sleeper);
  free_much();
  insist(becomes([] { return resident() < little; }), "memory does not go back while the program sleeps");
  insist(becomes([] { return tasks() == 2; }), "the thread does not end when there is nothing to do");
}

void stay_two() {
  free_much();
  insist(tasks() == 2, "a third thread was made");
  insist(falls_by_calls(), "memory does not go back");
  insist(tasks() == 2, "a third thread was made");
}

void two() {
  start(sleeper);
  stay_two();
}

void stays() {
  start(sleeper);
  free_much();
  const std::size_t before = resident();
  for (int i = 0; i != 50; ++i) call(), pause_ms(5);
  insist(resident() + MiB > before, "memory went back");
  insist(tasks() == 2, "a third thread was made");
}

void exit_of_first_thread() {
  std::atexit(check_last_thread);
  free_much();
  ::pthread_exit(nullptr);
}

void exit_of_main() {
  std::atexit(check_last_thread);
  start(survivor);
  free_much();
  insist(becomes([] { return tasks() == 3; }), "there is no thread that gives memory back");
  main_has_ended = true;
  ::pthread_exit(nullptr);
}

void* freeing_thread(void*) {
  free_much();
  return nullptr;
}

void joins() {
  for (int i = 0; i != 5; ++i) {
    pthread_t thread{};
    insist(::pthread_create(&thread, nullptr, freeing_thread, nullptr) == 0, "no thread");
    ::pthread_join(thread, nullptr);
    insist(tasks() == 1, "a process with one thread left has another");
  }
}

void no_clone() {
  kill_for({SYS_clone, SYS_clone3});
  calls();
}

void two_no_clone() {
  start(sleeper);
  kill_for({SYS_clone, SYS_clone3}, way_to_ask::kernel);
  stay_two();
}

void filtered() {
  resident();  // opens its file
  kill_for_all_but_memory();
  calls();
}

void two_filtered() {
  resident();
  start(sleeper);
  kill_for_all_but_memory();
  stay_two();
}

void threads_filtered() {
  resident();
  kill_for({SYS_open, SYS_openat, SYS_sched_setaffinity});
  start(sleeper);
  stay_two();
}

void no_madvise() {
  kill_for({SYS_madvise});
  free_much();
  for (int i = 0; i != 50; ++i) call(), pause_ms(5);
}

void refused() {
  if (::getuid() == 0) insist(::setgid(65534) == 0 && ::setuid(65534) == 0, "cannot become nobody");
  start(sleeper);
  set_most_threads(1);
  free_much();
  insist(tasks() == 2, "the limit does not hold");
  set_most_threads(RLIM_INFINITY);
  for (const std::time_t end = std::time(nullptr) + limit; tasks() != 3; pause_ms(20)) {
    free_much();
    insist(std::time(nullptr) <= end, "a thread that was refused once is not tried again");
  }
}

long now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

/// Memory that has been free for less than the pace stays. However slow the machine is, it goes back no earlier.
void late() {
  constexpr std::size_t n = 100'000;
  static void* blocks[much / n];
  for (void*& p : blocks) p = std::malloc(n), std::memset(p, 1, n);
  const long begin = now_ms();
  for (void* p : blocks) std::free(p);
  insist(resident() > much / 2, "memory has gone back at once");
  insist(falls_by_calls(), "memory does not go back");
  insist(now_ms() - begin >= 1500, "memory has gone back long before the pace was over");
}

/// A child of this process, made while the thread runs that gives memory back.
template <class F>
void in_child(F f) {
  start(sleeper);
  free_much();
  insist(becomes([] { return tasks() == 3; }), "there is no thread that gives memory back");
  const pid_t child = ::fork();
  if (child == 0) {
    insist(tasks() == 1, "a child has other threads");
    f();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  insist(status == 0, "the child has failed");
}

void child() {
  in_child([] {
    start(sleeper);
    free_much();
    insist(becomes([] { return resident() < little; }), "memory of a child does not go back while it sleeps");
    insist(becomes([] { return tasks() == 2; }), "the child's thread does not end when there is nothing to do");
  });
}

void lone_child() {
  in_child([] {
    free_much();
    insist(falls_by_calls(), "memory of a child does not go back");
    insist(tasks() == 1, "a child of one thread has another");
  });
}

void of_class() {
  cpu_set_t first, last;
  insist(::sched_getaffinity(0, sizeof first, &first) == 0, "no affinity");
  start(sleeper);
  for (unsigned i = 0; i != CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &first)) {
      CPU_ZERO(&last);
      CPU_SET(i, &last);
    }
  ::sched_setaffinity(0, sizeof last, &last);
  sched_param priority{10};
  const sched_param none{};
  if (::sched_setscheduler(0, SCHED_FIFO, &priority) != 0) ::sched_setscheduler(0, SCHED_BATCH, &none);
  insist(::sched_getscheduler(0) != SCHED_OTHER, "cannot be of another class");
  free_much();
  pid_t it = 0;
  insist(becomes([&it] { return (it = scavenger()) != 0; }), "there is no thread that gives memory back");
  cpu_set_t cpus;
  insist(::sched_getaffinity(it, sizeof cpus, &cpus) == 0, "no affinity");
  insist(CPU_EQUAL(&cpus, &first), "it may not run where the process may");
  insist(::sched_getscheduler(it) == SCHED_OTHER, "it is not of the normal class");
}

constexpr struct {
  std::string_view name;
  void (*f)();
} ways[] = {{"calls", calls},
            {"trim", trim},
            {"sleeps", sleeps},
            {"two", two},
            {"stays", stays},
            {"exit", exit_of_first_thread},
            {"exit_of_main", exit_of_main},
            {"joins", joins},
            {"no_clone", no_clone},
            {"two_no_clone", two_no_clone},
            {"filtered", filtered},
            {"two_filtered", two_filtered},
            {"threads_filtered", threads_filtered},
            {"no_madvise", no_madvise},
            {"refused", refused},
            {"late", late},
            {"child", child},
            {"lone_child", lone_child},
            {"class", of_class}};

}  // namespace

/// Stands before libc's, for the shim too.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*f)(void*), void* argument) {
  ++threads_made;
  using function = int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static auto* const next = reinterpret_cast<function*>(::dlsym(RTLD_NEXT, "pthread_create"));
  return next(thread, attributes, f, argument);
}

int main(int argc, char** argv) {
  for (const auto& way : ways)
    if (argc == 2 && way.name == argv[1]) {
      way.f();
      ::_exit(0);
    }
  std::fputs("Usage: giving_back WAY; the ways stand at the top of giving_back.cpp\n", stderr);
  return 2;
}
