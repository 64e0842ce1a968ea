// SPDX-License-Identifier: BSL-1.0
//
// Ends in the way that its argument names; exit_test.cpp knows the words that it must have said by then. Most ways
// return from main. Those whose name begins with "exit" or "leave" go another way, and a few are aborted: by a deadlock
// report, or by an exception.
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "exit_waiting.hpp"
#include "heddle/heddle.hpp"

namespace {

using namespace std::chrono_literals;
using exit_subject::go_and_wait;
using exit_subject::start_thread_that_waits;
using exit_subject::until_fibers_wait;
using heddle::this_fiber::sleep_for;

void say(const char* what) { ::dprintf(2, "%s\n", what); }

/// Objects of the program, constructed before any runtime.
heddle::channel<int> requests;
heddle::mutex lock;
heddle::condition_variable changed;
heddle::semaphore permits{0};
std::atomic<bool> stop{false};
int ends[2];  // of a pipe

std::atomic<bool> destroyed{false};  // the static objects

struct owner {
  std::function<void()> at_end;
  heddle::join_handle<void> worker;
  std::unique_ptr<heddle::ticker> beat;
  ~owner() {
    if (at_end) at_end();
    say("static objects are destroyed");
    destroyed = true;
  }
};
owner global;

struct at_thread_end {
  std::function<void()> f;
  ~at_thread_end() {
    if (f) f();
  }
};
thread_local at_thread_end of_thread;
[[gnu::noinline]] void when_this_thread_ends(std::function<void()> f) { of_thread.f = std::move(f); }

void receive_all() {
  for (int n : requests) ::dprintf(2, "request %d\n", n);
}
void close_and_join() {
  requests.close();
  global.worker.join();
  global.beat.reset();
  say("the worker has ended");
}
void stop_and_join() {
  stop = true;
  changed.notify_all();
  global.worker.join();
  say("the worker has ended");
}
/// Fibers that wait for events that never come.
void leave_waiting() {
  go_and_wait(receive_all);
  go_and_wait([] {
    std::unique_lock hold(lock);
    changed.wait(hold);
  });
  go_and_wait([] { permits.acquire(); });
  until_fibers_wait(3);
}
/// In the destructor of a thread-local: the thread of the next machine does the same, and so on without end.
void start_on_the_next_machine() {
  heddle::spawn([] { when_this_thread_ends(start_on_the_next_machine); }).join();
  // The next machine is idle when this thread ends, so that there is one to dismiss at any time.
  while (heddle::stats().idle_processors != heddle::processors()) std::this_thread::sleep_for(1ms);
}
void sleep_and_say() {
  for (int i = 0; i != 2; ++i) sleep_for(10ms);
  say("the fiber has ended");
}
/// The same, when the destructor that has started it is over, however long that takes.
void sleep_and_say_at_last() {
  while (!destroyed) sleep_for(1ms);
  sleep_and_say();
}

const std::map<std::string, std::function<void()>> ways{
    // Fibers when main returns, or calls exit().
    {"sleeping", [] { heddle::go(sleep_and_say); }},
    {"computing",
     [] {
       heddle::go([] {
         const auto end = std::chrono::steady_clock::now() + 50ms;
         while (std::chrono::steady_clock::now() < end) heddle::this_fiber::yield();
         say("the fiber has ended");
       });
     }},
    {"blocking",
     [] {
       heddle::go([] {
         heddle::blocking([] { std::this_thread::sleep_for(50ms); });
         say("the fiber has ended");
       });
     }},
    {"computing_for_long",
     [] {
       heddle::go([] {
         const auto end = std::chrono::steady_clock::now() + 2500ms;
         while (std::chrono::steady_clock::now() < end) heddle::this_fiber::yield();
         say("the fiber has ended");
       });
     }},
    {"calling_for_ever", [] { heddle::go([] { heddle::blocking([] { ::pause(); }); }); }},
    {"threads_that_start_fibers",
     [] {
       for (int i = 0; i != 2; ++i)
         std::thread([] {
           for (;;)
             if (heddle::stats().fibers < 100'000) heddle::go([] { heddle::this_fiber::yield(); });
         }).detach();
       std::this_thread::sleep_for(50ms);
     }},
    {"threads_that_start_sleepers",
     [] {
       for (int i = 0; i != 2; ++i)
         std::thread([] {
           for (;;) heddle::spawn([] { sleep_for(1ms); }).join();
         }).detach();
       std::this_thread::sleep_for(50ms);
     }},
    {"threads_that_start_runtimes",
     [] {
       std::thread([] {
         for (;;) {
           heddle::go([] {});
           heddle::shutdown();
         }
       }).detach();
       std::this_thread::sleep_for(50ms);
     }},
    {"threads_that_start_fibers_when_they_end",
     [] { heddle::spawn([] { when_this_thread_ends(start_on_the_next_machine); }).join(); }},
    {"thread_that_shuts_down",
     [] {
       static auto* const never = new heddle::channel<int>;  // not destroyed: nothing orders that after the wait
       heddle::go([] { (void)never->receive(); });
       std::thread([] { heddle::shutdown(); }).detach();
       std::this_thread::sleep_for(50ms);
     }},
    {"waiting", leave_waiting},
    {"sleeping_for_ever",
     [] {
       heddle::go([] {
         for (;;) sleep_for(1ms);
       });
     }},
    {"exit_in_main",
     [] {
       heddle::go(sleep_and_say);
       std::exit(4);
     }},
    {"exit_in_main_while_others_wait",
     [] {
       leave_waiting();
       std::exit(4);
     }},
    // Owners that are static objects.
    {"owner",
     [] {
       global.worker = heddle::spawn(receive_all);
       global.at_end = close_and_join;
       requests.send(1);
     }},
    {"owner_with_ticker",
     [] {
       global.beat = std::make_unique<heddle::ticker>(1h);
       global.worker = heddle::spawn(receive_all);
       global.at_end = close_and_join;
       requests.send(1);
     }},
    {"owner_of_one_that_polls",
     [] {
       global.worker = heddle::spawn([] {
         while (!stop) sleep_for(1ms);
       });
       global.at_end = stop_and_join;
     }},
    {"owner_of_one_that_yields",
     [] {
       global.worker = heddle::spawn([] {
         while (!stop) heddle::this_fiber::yield();
       });
       global.at_end = stop_and_join;
     }},
    {"owner_of_one_in_a_call",
     [] {
       if (::pipe(ends) != 0) return;
       global.worker = heddle::spawn([] {
         char byte = 0;
         heddle::blocking([&] { return ::read(ends[0], &byte, 1); });
       });
       global.at_end = [] {
         ::close(ends[1]);
         stop_and_join();
       };
     }},
    {"owner_of_one_that_waits_by_the_hour",
     [] {
       global.worker = heddle::spawn([] {
         std::unique_lock hold(lock);
         while (!stop) changed.wait_for(hold, 1h);
       });
       global.at_end = stop_and_join;
     }},
    // Destructors of static objects.
    {"destructor_starts_fibers",
     [] {
       global.at_end = [] {
         heddle::go(sleep_and_say_at_last);
         heddle::spawn([] { say("joined"); }).join();
       };
     }},
    {"destructor_starts_fibers_again",
     [] {
       heddle::go([] {});
       heddle::shutdown();
       global.at_end = [] { heddle::go(sleep_and_say_at_last); };
     }},
    {"destructor_shuts_down",
     [] {
       heddle::go(receive_all);
       global.at_end = [] {
         requests.close();
         heddle::shutdown();
         say(heddle::stats().machines == 0 ? "shut down" : "still there");
       };
     }},
    {"destructor_runs", [] { global.at_end = [] { heddle::run(sleep_and_say); }; }},
    {"statics_younger_than_the_runtime",
     [] {
       struct used {
         bool lives = true;
         ~used() { lives = false; }
       };
       heddle::go([] {});
       static used object;
       static at_thread_end runs{[] { heddle::run([] { say("run in a destructor"); }); }};
       heddle::go([] {
         sleep_for(50ms);
         say(object.lives ? "alive" : "destroyed");
       });
     }},
    {"destructor_waits_in_vain",
     [] {
       global.worker = heddle::spawn(receive_all);
       global.at_end = [] { global.worker.join(); };
     }},
    // Thread-locals.
    {"thread_local_of_machine",
     [] {
       for (int i = 0; i != 2; ++i) {
         heddle::run([] {
           when_this_thread_ends([] {
             heddle::go([] { say("flushed"); });
             heddle::spawn([] { say("joined"); }).join();
           });
         });
         say("run has returned");
       }
     }},
    {"thread_local_of_machine_shuts_down",
     [] {
       heddle::go([] {
         when_this_thread_ends([] {
           heddle::shutdown();
           say("at once");
         });
       });
       heddle::shutdown();
       say("shut down");
     }},
    {"thread_local_of_machine_runs",
     [] {
       heddle::run([] {
         when_this_thread_ends([] {
           try {
             heddle::run([] { say("not reached"); });
           } catch (const std::logic_error& e) {
             ::dprintf(2, "%.*s\n", 59, e.what());
           }
         });
       });
       say("run has returned");
     }},
    {"exit_in_thread_local_of_machine",
     [] {
       heddle::go([] { when_this_thread_ends([] { std::exit(5); }); });
       heddle::shutdown();
     }},
    {"thread_local_of_main", [] { when_this_thread_ends([] { heddle::go(sleep_and_say); }); }},
    {"thread_local_of_thread",
     [] { std::thread([] { when_this_thread_ends([] { heddle::go(sleep_and_say); }); }).join(); }},
    // exit() elsewhere.
    {"exit_in_fiber",
     [] {
       heddle::run([] {
         leave_waiting();
         heddle::spawn([] { std::exit(5); }).join();
       });
     }},
    {"exit_in_lazy_fiber",
     [] {
       heddle::spawn([] {
         leave_waiting();
         std::exit(5);
       }).join();
     }},
    {"exit_in_fiber_while_main_waits_for_others",
     [] {
       heddle::run([] {
         heddle::go([] {
           sleep_for(20ms);
           std::exit(5);
         });
         heddle::go(receive_all);
       });
     }},
    {"exit_in_fiber_under_a_lock",
     [] {
       heddle::run([] {
         static heddle::shared_mutex shared;  // destroyed before all objects that were there when the runtime started
         static heddle::channel<int> of_function;
         heddle::go([] { (void)of_function.receive(); });
         heddle::this_fiber::yield();
         const std::shared_lock also(shared);
         const std::lock_guard hold(lock);
         std::exit(5);
       });
     }},
    {"exit_in_fiber_that_owns",
     [] {
       heddle::run([] {
         global.worker = heddle::spawn(receive_all);
         global.at_end = close_and_join;
         heddle::this_fiber::yield();
         std::exit(5);
       });
     }},
    {"exit_in_thread",
     [] {
       heddle::run([] {
         heddle::go(receive_all);
         heddle::this_fiber::yield();
         std::thread([] { std::exit(6); }).join();
       });
     }},
    {"exit_in_thread_with_objects_younger_than_the_runtime",
     [] {
       heddle::go([] {});
       static heddle::channel<int> of_function;
       static const auto of_heap = std::make_unique<heddle::semaphore>(0);
       thread_local heddle::mutex of_this_thread;
       go_and_wait([] { (void)of_function.receive(); });
       go_and_wait([] { of_heap->acquire(); });
       std::thread([] {
         of_this_thread.lock();
         go_and_wait([m = &of_this_thread] { m->lock(); });
         until_fibers_wait(3);
         std::exit(6);
       }).join();
     }},
    {"thread_waits_without_a_runtime",
     [] {
       start_thread_that_waits([] { permits.acquire(); });
       start_thread_that_waits([] { (void)requests.receive(); });
     }},
    {"exit_in_thread_without_a_runtime",
     [] {
       start_thread_that_waits([] { permits.acquire(); });
       std::thread([] { std::exit(6); }).join();
     }},
    {"destroyed_in_use",
     [] {
       auto doomed = std::make_unique<heddle::semaphore>(0);
       start_thread_that_waits([s = doomed.get()] { s->acquire(); });
     }},
    // Other ways.
    {"leave_by_pthread_exit",
     [] {
       heddle::go([] {
         sleep_for(50ms);
         say("the fiber has ended");
       });
       ::pthread_exit(nullptr);
     }},
    {"leave_by_pthread_exit_after_all",
     [] {
       heddle::spawn([] {}).join();
       std::this_thread::sleep_for(200ms);  // all is asleep by then
       ::pthread_exit(nullptr);
     }},
    {"leave_by_pthread_exit_and_destructor_starts_fibers",
     [] {
       heddle::go([] { sleep_for(20ms); });
       global.at_end = [] {
         heddle::go(sleep_and_say_at_last);
         heddle::spawn([] { say("joined"); }).join();
       };
       ::pthread_exit(nullptr);
     }},
    {"leave_by_pthread_exit_before_another_starts",
     [] {
       std::thread([] {
         std::this_thread::sleep_for(50ms);
         heddle::spawn(sleep_and_say).join();
       }).detach();
       ::pthread_exit(nullptr);
     }},
    {"leave_by_pthread_exit_after_another_has_started",
     [] {
       std::thread([] { heddle::spawn([] {}).join(); }).join();
       std::this_thread::sleep_for(200ms);  // all is asleep by then
       ::pthread_exit(nullptr);
     }},
    {"leave_by_pthread_exit_while_others_wait",
     [] {
       heddle::go(receive_all);
       ::pthread_exit(nullptr);
     }},
    {"leave_by_quick_exit",
     [] {
       std::at_quick_exit([] { say("quick"); });
       heddle::go(sleep_and_say);
       std::quick_exit(7);
     }},
    {"leave_by__exit",
     [] {
       heddle::go(sleep_and_say);
       ::_exit(8);
     }},
    {"leave_by_pthread_exit_in_fiber",
     [] { heddle::run([] { heddle::spawn([] { ::pthread_exit(nullptr); }).join(); }); }},
    {"leave_by_abort",
     [] {
       leave_waiting();
       std::abort();
     }},
    {"leave_by_exception",
     [] {
       leave_waiting();
       throw std::runtime_error("nobody catches it");
     }},
    {"leave_by_exception_in_fiber",
     [] {
       heddle::go([] { throw std::runtime_error("nobody catches it"); });
       ::pause();
     }},
    {"main_throws",
     [] {
       try {
         heddle::run([] {
           heddle::go([] { sleep_for(4s); });  // the word comes after one
           throw std::runtime_error("cannot bind port 80");
         });
       } catch (const std::exception& e) {
         ::dprintf(2, "caught: %s\n", e.what());
       }
     }},
    {"main_throws_while_others_wait",
     [] {
       try {
         heddle::run([] {
           heddle::go(receive_all);
           throw std::runtime_error("cannot bind port 80");
         });
       } catch (const std::exception&) {
         say("not reached");
       }
     }},
    {"main_throws_uncaught",
     [] {
       heddle::run([] {
         heddle::go(receive_all);
         throw std::runtime_error("cannot bind port 80");
       });
     }},
    {"unload",
     [] {
       void* const module = ::dlopen(EXIT_MODULE, RTLD_NOW | RTLD_LOCAL);
       if (module == nullptr) return say(::dlerror());
       reinterpret_cast<void (*)()>(::dlsym(module, "leave_a_fiber"))();
       ::dlclose(module);
       std::this_thread::sleep_for(50ms);
       say("unloaded");
     }},
};

}  // namespace

#ifdef HEDDLE_TSAN
/// The process may end while another thread ends a runtime, between the end of a machine's thread and its join.
extern "C" const char* __tsan_default_options() { return "report_thread_leaks=0"; }
#endif

int main(int, char** arguments) {
#ifdef HEDDLE_TSAN
  // Nothing but luck orders exit() after the work of a fiber on another processor before it waits.
  ::setenv("HEDDLE", "procs=1", 1);
#endif
  ways.at(arguments[1])();
  return 3;
}
