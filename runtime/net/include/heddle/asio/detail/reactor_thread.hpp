// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>
#include <signal.h>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "heddle/asio/detail/errand.hpp"
#include "heddle/blocking.hpp"
#include "heddle/detail/exit.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/platform.hpp"

namespace heddle::asio::detail {

/// An io_context, the thread that runs it, and the commands for that thread.
///
/// Functions that read thread-locals are not inlined: their callers are fibers, which change threads.
class reactor_thread {
 public:
  /// How an io_context leads to its reactor.
  class service : public boost::asio::execution_context::service {
   public:
    using key_type = service;
    static inline boost::asio::execution_context::id id;
    explicit service(boost::asio::execution_context& owner) : boost::asio::execution_context::service(owner) {}
    reactor_thread* thread = nullptr;  ///< none: a context of other threads

   private:
    void shutdown() noexcept override {}
  };

  reactor_thread() : work_(context_.get_executor()) {
    boost::asio::use_service<service>(context_).thread = this;
    const all_signals_blocked while_made;  // those of the process are for other threads
    thread_ = std::thread([this] { run(); });
    ::pthread_setname_np(thread_.native_handle(), "heddle-asio");
  }
  reactor_thread(const reactor_thread&) = delete;
  reactor_thread& operator=(const reactor_thread&) = delete;

  /// Ends the thread, before this is destroyed. False: the process exits while operations are pending, and all stays.
  bool end() {
    const std::uint32_t pending = pending_.load(std::memory_order_relaxed);
    if (pending != 0 && heddle::detail::process_exits()) return false;
    if (pending != 0) destroyed_while("operations of use_fiber are pending. End them, and join their fibers, first");
    if (is_here()) destroyed_while("its own thread is in it, which would have to wait for itself");
    ending last(*this);
    send(last);
    last.await();
    blocking([this] { thread_.join(); });
    return true;
  }

  boost::asio::io_context& context() noexcept { return context_; }

  /// The thread is to run `c`. From anywhere; never blocks. Ends the process if there is no memory to wake the thread.
  void send(command& c) noexcept {
    if (inbox_.put(c)) wake();
  }
  /// Whether the caller is that thread.
  [[gnu::noinline]] bool is_here() const noexcept { return std::this_thread::get_id() == thread_.get_id(); }

  /// While it lives a fiber or plain thread waits for an operation.
  class pending_operation {
   public:
    explicit pending_operation(reactor_thread& t) noexcept : pending_(t.pending_) {
      pending_.fetch_add(1, std::memory_order_relaxed);
    }
    pending_operation(const pending_operation&) = delete;
    pending_operation& operator=(const pending_operation&) = delete;
    ~pending_operation() { pending_.fetch_sub(1, std::memory_order_relaxed); }

   private:
    heddle::detail::atomic<std::uint32_t>& pending_;
  };

 private:
  struct all_signals_blocked {
    sigset_t before;
    all_signals_blocked() noexcept {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, &before);
    }
    all_signals_blocked(const all_signals_blocked&) = delete;
    all_signals_blocked& operator=(const all_signals_blocked&) = delete;
    ~all_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  };

  /// On the thread itself, so that nothing can come between the mark and the stop.
  struct ending : errand {
    explicit ending(reactor_thread& t) noexcept : errand(stop, 1), thread(t) {}
    static void stop(command& c) noexcept {
      auto& self = static_cast<ending&>(c);
      self.thread.ends_ = true;
      self.thread.context_.stop();
      self.let_go();
    }
    reactor_thread& thread;
  };

  [[gnu::noinline]] void wake() noexcept {
    boost::asio::post(context_, [this] { inbox_.run_all(); });
  }
  void run() noexcept {
    for (context_.run(); !ends_; context_.run()) context_.restart();  // somebody has stopped it, but it serves others
  }
  [[noreturn]] void destroyed_while(const char* what) const noexcept {
    heddle::detail::on_home_stack([&] {
      std::fprintf(stderr, "heddle: asio::reactor %p: destroyed while %s\n", static_cast<const void*>(this), what);
    });
    std::abort();
  }

  boost::asio::io_context context_{1};  // one thread runs it
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  inbox inbox_;
  heddle::detail::atomic<std::uint32_t> pending_{0};
  bool ends_ = false;  // the thread's own
  std::thread thread_;
};

}  // namespace heddle::asio::detail
