// SPDX-License-Identifier: BSL-1.0
//
// The loop over the executions, in a child process: a crash, an abort or a hang of the program
// under test is then a failure like any other, with its seed and trace.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "model/model.hpp"
#include "scheduler.hpp"

namespace model::detail {
namespace {

/// What the child leaves for its parent, in shared memory.
struct report {
  bool done;  // the child got to its end
  bool failed;
  bool complete;
  std::uint64_t executions;
  std::uint64_t steps;
  char message[4096];
  char seed[16384];
  char trace[1 << 19];
};

template <std::size_t N>
void copy(char (&to)[N], const std::string& from) {
  const std::size_t n = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), n);
  to[n] = 0;
}

// One exploration at a time; the signal handlers need them.
report* current_report = nullptr;
explorer* current_explorer = nullptr;
int captured_stderr = -1;

/// Of a failure that is met; all of them when it is run again on request.
std::size_t trace_lines = 100;

/// The end of what the program wrote to stderr.
std::string captured_output() {
  if (captured_stderr < 0) return {};
  char text[4096];
  const off_t size = lseek(captured_stderr, 0, SEEK_END);
  const ssize_t n =
      pread(captured_stderr, text, sizeof text, std::max<off_t>(0, size - static_cast<off_t>(sizeof text)));
  if (n <= 0) return {};
  return "stderr:\n" + std::string(text, static_cast<std::size_t>(n));
}

void report_failure(const std::string& message) {
  current_report->failed = true;
  copy(current_report->message, message);
  copy(current_report->seed, current_explorer->reproduce());
  copy(current_report->trace, scheduler::get().format_trace(trace_lines) + captured_output());
}

/// Seconds without a scheduling point after which the program counts as hung.
constexpr unsigned patience = 20;

void on_crash(int signal) {
  report_failure(std::string("crash: ") + strsignal(signal));
  _exit(1);
}

void on_alarm(int) {
  static std::uint64_t seen = 0;
  const std::uint64_t now = current_report->steps + scheduler::get().steps() + current_report->executions;
  if (now == seen) {
    report_failure("hang: no scheduling point for " + std::to_string(patience) + " s");
    _exit(1);
  }
  seen = now;
  alarm(patience);
}

void watch_signals() {
  static char stack[65536];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) sigaction(signal, &action, nullptr);
  action.sa_handler = on_alarm;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGALRM, &action, nullptr);
  alarm(patience);
}

/// One execution with nothing rare and nothing planted in it. False: even that fails.
bool warm_up(const options& o, body f, void* context) {
  options plain = o;
  plain.weak_memory = false;
  plain.weak_failures = plain.spurious_wakes = plain.early_timeouts = plain.thread_failures = plain.late_stores = 0;
  const auto e = make_replay(plain, "strategy=random,seed=0");
  current_explorer = e.get();
  scheduler& s = scheduler::get();
  s.begin(*e, plain);
  e->begin();
  const bool passed = s.execute(f, context);
  if (!passed) report_failure(s.failure());
  return passed;
}

void run_executions(explorer& e, const options& o, report& r, body f, void* context) {
  scheduler& s = scheduler::get();
  current_report = &r;
  if (o.warm_up && !warm_up(o, f, context)) return;
  planted = o.planted;
  current_explorer = &e;
  s.begin(e, o);
  while (e.begin()) {
    ++r.executions;
    const bool passed = s.execute(f, context);
    r.steps += s.steps();
    e.end(s.steps());
    if (!passed) {
      report_failure(s.failure());
      break;
    }
  }
  r.complete = e.complete();
  planted = plant::none;
  r.done = true;
}

void run_child(explorer& e, const options& o, report& r, body f, void* context) {
  captured_stderr = memfd_create("stderr", 0);
  if (captured_stderr >= 0) dup2(captured_stderr, STDERR_FILENO);
  watch_signals();
  run_executions(e, o, r, f, context);
  _exit(0);
}

void run_isolated(explorer& e, const options& o, report& r, body f, void* context) {
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("model: fork failed");
  if (child == 0) run_child(e, o, r, f, context);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (r.done || r.failed) return;
  r.failed = true;
  copy(r.message, WIFSIGNALED(status)
                      ? std::string("killed: ") + strsignal(WTERMSIG(status))
                      : "the program ended the process with status " + std::to_string(WEXITSTATUS(status)));
}

result run(explorer& e, const options& o, body f, void* context) {
  void* shared = mmap(nullptr, sizeof(report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::bad_alloc();
  auto& r = *static_cast<report*>(shared);
  const auto start = std::chrono::steady_clock::now();
  if (o.isolate)
    run_isolated(e, o, r, f, context);
  else
    run_executions(e, o, r, f, context);
  result out;
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  out.failed = r.failed;
  out.complete = r.complete;
  out.executions = r.executions;
  out.steps = r.steps;
  if (r.failed) {
    out.message = r.message;
    out.seed = std::string("HEDDLE_MODEL=") + r.seed;
    out.trace = r.trace;
  }
  munmap(shared, sizeof(report));
  return out;
}

std::uint64_t scaled(std::uint64_t executions) {
  const char* scale = std::getenv("HEDDLE_MODEL_SCALE");
  if (scale == nullptr) return executions;
  const double factor = std::strtod(scale, nullptr);
  return factor > 0 ? std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(executions) * factor))
                    : executions;
}

}  // namespace

result explore(const options& o, body f, void* context) {
  if (const char* seed = std::getenv("HEDDLE_MODEL"); seed != nullptr && *seed != 0) {
    trace_lines = 4096;
    return replay(o, seed, f, context);
  }
  options chosen = o;
  chosen.executions = scaled(o.executions);
  // A planted bug ends the exploration when it is found, so fewer executions would spare nothing but the finding.
  if (o.planted != plant::none) chosen.executions = std::max(chosen.executions, o.executions);
  const auto e = make_explorer(chosen);
  return run(*e, chosen, f, context);
}

result replay(const options& o, const std::string& seed, body f, void* context) {
  constexpr const char prefix[] = "HEDDLE_MODEL=";
  const bool prefixed = seed.compare(0, sizeof prefix - 1, prefix) == 0;
  options chosen = o;
  const auto e = make_replay(chosen, prefixed ? seed.substr(sizeof prefix - 1) : seed);
  return run(*e, chosen, f, context);
}

}  // namespace model::detail
