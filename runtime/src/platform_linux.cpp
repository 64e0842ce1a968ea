// SPDX-License-Identifier: BSL-1.0
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <unwind.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "heddle/detail/own_thread.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/preemption.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/trusted.hpp"
#include "platform_services.hpp"
#include "thread_stack.hpp"

#ifdef HEDDLE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#pragma weak dladdr
#pragma weak dlopen

extern "C" {
// Assembly reads it too.
constinit thread_local void* heddle_thread_slot __attribute__((visibility("hidden"))) = nullptr;
}

namespace heddle::detail {
// Known by its name only, so LTO must leave it that name.
#if defined(__GNUC__) && !defined(__clang__)
[[gnu::used, gnu::externally_visible]]
#else
[[gnu::used]]
#endif
constinit thread_local unsigned unpreemptible = 0;

namespace platform {
[[gnu::noinline]] void* thread_slot() noexcept {
  // The empty asm keeps the compiler from knowing that two calls give the same.
  asm volatile("" ::: "memory");
  return heddle_thread_slot;
}
[[gnu::noinline]] const void* this_thread_mark() noexcept {
  asm volatile("" ::: "memory");
  return &heddle_thread_slot;
}
#if __has_include(<sys/rseq.h>)
unsigned cpu_number() noexcept {
  const char* thread = nullptr;
  asm volatile("mov %%fs:0, %0" : "=r"(thread));
  return reinterpret_cast<const volatile struct rseq*>(thread + __rseq_offset)->cpu_id_start;
}
#else
unsigned cpu_number() noexcept { return 0; }
#endif
[[gnu::noinline]] void set_thread_slot(void* value) noexcept {
  asm volatile("" ::: "memory");
  heddle_thread_slot = value;
}

namespace {
struct thread_start {
  void (*f)(void*);
  void* arg;
  char name[16];
};

void* begin(void* raw) {
  const thread_start start = *static_cast<thread_start*>(raw);
  delete static_cast<thread_start*>(raw);
  ::pthread_setname_np(::pthread_self(), start.name);
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // sleeps end when they should, not up to 50 us later
  const own_thread counted;
  start.f(start.arg);
  return nullptr;
}
}  // namespace

thread::thread(void (*f)(void*), void* arg, const char* name) {
  auto* start = new thread_start{f, arg, {}};
  std::strncpy(start->name, name, sizeof start->name - 1);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  constexpr std::size_t own = std::size_t{256} << 10;  // address space; a home stack uses a page or two
  const std::size_t size = own + taken_from_thread_stack();
  int error = ::pthread_attr_setstacksize(&attributes, size);
  if (error == 0) error = ::pthread_create(&handle_, &attributes, begin, start);
  ::pthread_attr_destroy(&attributes);
  if (error == 0) return;
  delete start;
  handle_ = 0;
  throw std::system_error(error, std::generic_category(),
                          "heddle: no kernel thread \"" + std::string(name) + "\" with a stack of " +
                              std::to_string(size) + " bytes, " + std::to_string(size - own) +
                              " of them for thread-locals and the C library");
}

void thread::join() noexcept {
  ::pthread_join(handle_, nullptr);
  handle_ = 0;
}

bool thread::try_join() noexcept {
  if (::pthread_tryjoin_np(handle_, nullptr) != 0) return false;
  handle_ = 0;
  return true;
}

void drop_pages(void* at, std::size_t bytes) noexcept {
  if (::madvise(at, bytes, MADV_DONTNEED) == 0 || errno != EINVAL) return;
  // The process has locked its memory. The pages are locked again when they are next touched.
  constexpr int advice_dontneed_locked = 24;  // MADV_DONTNEED_LOCKED, Linux 5.18
  if (::madvise(at, bytes, advice_dontneed_locked) == 0) return;
  ::munlock(at, bytes);
  ::madvise(at, bytes, MADV_DONTNEED);
  ::mlock2(at, bytes, MLOCK_ONFAULT);
}

void interrupt_nobody() noexcept {
  // Threads of real-time policies keep them: they would wait for ever behind their like.
  sched_param parameters{};
  if (::sched_getscheduler(0) == SCHED_OTHER) ::sched_setscheduler(0, SCHED_BATCH, &parameters);
}

thread_clock this_thread_clock() noexcept {
  clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
  ::pthread_getcpuclockid(::pthread_self(), &clock);
  return clock;
}

nanoseconds_t cpu_time(thread_clock clock) noexcept {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<nanoseconds_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void describe_thread_stack(char*& bottom, std::size_t& size, void*& tsan_fiber) noexcept {
  pthread_attr_t attributes;
  void* address = nullptr;
  if (::pthread_getattr_np(::pthread_self(), &attributes) == 0) {
    ::pthread_attr_getstack(&attributes, &address, &size);
    ::pthread_attr_destroy(&attributes);
  }
  bottom = static_cast<char*>(address);
#ifdef HEDDLE_TSAN
  tsan_fiber = __tsan_get_current_fiber();
#else
  tsan_fiber = nullptr;
#endif
}

namespace {
struct thread_locals_holder {
  locals_base* value = nullptr;
  ~thread_locals_holder() {
    while (locals_base* const l = std::exchange(value, nullptr)) l->end(l);
  }
};
thread_local thread_locals_holder of_thread;
}  // namespace

// Apart, as thread_slot().
[[gnu::noinline]] locals_base* thread_locals() noexcept {
  asm volatile("" ::: "memory");
  return of_thread.value;
}
[[gnu::noinline]] void set_thread_locals(locals_base* l) noexcept {
  asm volatile("" ::: "memory");
  of_thread.value = l;
}

void at_fork(void (*before)(), void (*parent)(), void (*child)()) noexcept { ::pthread_atfork(before, parent, child); }

std::size_t process_threads() noexcept {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return static_cast<std::size_t>(-1);  // unknown: somebody may be there
  char line[256];
  unsigned long threads = static_cast<unsigned long>(-1);
  char leader = '?';
  while (std::fgets(line, sizeof line, file) != nullptr) {
    (void)std::sscanf(line, "State: %c", &leader);
    if (std::sscanf(line, "Threads: %lu", &threads) == 1) break;
  }
  std::fclose(file);
  if (leader == 'Z') --threads;  // the main thread has ended, and counts until the process does
#ifdef HEDDLE_TSAN
  --threads;  // its background thread
#endif
  return threads;
}

namespace {
constinit thread_local std::uint8_t note_of_thread = 0;
}  // namespace
std::uint8_t thread_note() noexcept { return note_of_thread; }
void note_on_thread(std::uint8_t n) noexcept { note_of_thread = n; }

namespace {
constinit thread_local std::atomic<bool> calls_held_here{false};  // atomic for the handlers
}  // namespace
// Apart, as thread_slot(): so they are barriers for the compiler too.
[[gnu::noinline]] bool holds_calls() noexcept {
  asm volatile("" ::: "memory");
  return calls_held_here.load(std::memory_order_relaxed);
}
[[gnu::noinline]] bool hold_calls(bool now) noexcept {
  asm volatile("" ::: "memory");
  const bool before = calls_held_here.load(std::memory_order_relaxed);
  calls_held_here.store(now, std::memory_order_relaxed);
  asm volatile("" ::: "memory");
  return before;
}

bool is_main_thread() noexcept { return ::gettid() == ::getpid(); }

void at_end_of_thread(void (*f)() noexcept) noexcept {
  // Not a thread_local: glibc does not destroy those of the main thread in pthread_exit().
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    ::pthread_key_create(&made, [](void* call) { reinterpret_cast<void (*)() noexcept>(call)(); });
    return made;
  }();
  ::pthread_setspecific(key, reinterpret_cast<const void*>(f));
}

bool main_thread_gone() noexcept {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return false;
  char line[256];
  char leader = '?';
  while (leader == '?' && std::fgets(line, sizeof line, file) != nullptr) (void)std::sscanf(line, "State: %c", &leader);
  std::fclose(file);
  return leader == 'Z';
}

bool called_by_exit() noexcept {
  bool found = false;
  const auto look = [](_Unwind_Context* frame, void* result) {
    // By name, too: where a program has a stub of its own for exit(), that stub is what &exit tells.
    const void* const f = _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(_Unwind_GetIP(frame)));
    Dl_info symbol{};
    const bool named = f != nullptr && &::dladdr != nullptr && ::dladdr(f, &symbol) != 0 &&
                       symbol.dli_sname != nullptr && std::strcmp(symbol.dli_sname, "exit") == 0;
    if (!named && f != reinterpret_cast<const void*>(&::exit)) return _URC_NO_REASON;
    *static_cast<bool*>(result) = true;
    return _URC_END_OF_STACK;
  };
  _Unwind_Backtrace(look, &found);
  return found;
}

void stay_loaded() noexcept {
  // Weak: a program linked with -static has neither, and nothing to be unloaded.
  Dl_info here{};
  const void* const self = reinterpret_cast<const void*>(&stay_loaded);
  if (&::dladdr == nullptr || &::dlopen == nullptr || ::dladdr(self, &here) == 0 || here.dli_fname == nullptr) return;
  (void)::dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

namespace {
/// Signals that a thread causes itself.
constexpr std::array<int, 8> faults{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS, SIGPIPE};

bool has_handler(int signal) noexcept {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN;
}

/// Whether a descriptor is to send SIGIO. (Boost.Test has a handler for it in every program.)
bool descriptor_may_signal() noexcept {
  DIR* const all = ::opendir("/proc/self/fd");
  if (all == nullptr) return true;  // unknown
  bool found = false;
  while (const dirent* const one = ::readdir(all)) {
    const int flags = one->d_name[0] == '.' ? 0 : ::fcntl(std::atoi(one->d_name), F_GETFL);
    found |= flags > 0 && (flags & O_ASYNC) != 0;
  }
  ::closedir(all);
  return found;
}
}  // namespace

bool handler_may_come(int but) noexcept {
  for (int signal = 1; signal != NSIG; ++signal) {
    if (std::find(faults.begin(), faults.end(), signal) != faults.end()) continue;
    if (signal == but || signal == SIGPROF || signal == SIGVTALRM)
      continue;  // while all sleep, no time of theirs passes
    if (has_handler(signal) && (signal != SIGIO || descriptor_may_signal())) return true;
  }
  return false;
}

int thread_number() noexcept { return ::gettid(); }

sigset_t blocked_signals() noexcept {
  sigset_t now;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
  return now;
}

void block_signals(const sigset_t& these) noexcept { ::pthread_sigmask(SIG_SETMASK, &these, nullptr); }

void unblock_signal(int number) noexcept {
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, number);
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

void block_all_signals() noexcept {
  sigset_t all;
  ::sigfillset(&all);
  for (const int signal : faults) ::sigdelset(&all, signal);
  block_signals(all);
}

}  // namespace platform
}  // namespace heddle::detail
