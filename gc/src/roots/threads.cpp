// SPDX-License-Identifier: BSL-1.0
#include "roots/threads.hpp"

#include <cxxabi.h>
#include <signal.h>
#include <unistd.h>

#include <new>

#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "roots/suspension.hpp"

namespace heddle::gc::detail {

namespace {

struct registry {
  heddle::detail::thread_mutex lock{heddle::detail::lock_rank::registry};
  thread_registration* first = nullptr;
};

registry& all() noexcept {
  // Never destroyed: threads end while the process does.
  alignas(registry) static unsigned char space[sizeof(registry)];
  static registry* const made = [] {
    auto* const r = ::new (space) registry;
    ::pthread_atfork(nullptr, nullptr, keep_only_this_thread);
    return r;
  }();
  return *made;
}

/// A program that blocks all signals before it makes its threads, so that one of them may wait for them, does not mean
/// the collector's.
void let_through(int signal) noexcept {
  if (signal == 0) return;
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

constexpr std::uint8_t known = 1;  // a mark of no epoch: has not been scanned

}  // namespace

thread_registration::thread_registration() noexcept
    : handle_(::pthread_self()),
      number_(::gettid()),
      mark_(&heddle::detail::thread_scan_mark()),
      caught_(reinterpret_cast<const void* const*>(abi::__cxa_get_globals())) {
  heddle::detail::on_home_stack([this] {
    find_stack();
    let_through(suspension::signal_number());
  });
  mark_->store(known, std::memory_order_relaxed);
  registry& r = all();
  const heddle::detail::thread_lock hold(r.lock);
  next_ = r.first;
  if (next_ != nullptr) next_->previous_ = this;
  r.first = this;
}

thread_registration::~thread_registration() {
  // The collector, which has the lock while it scans threads, may be about to ask this one.
  let_through(suspension::signal_number());
  registry& r = all();
  const heddle::detail::thread_lock hold(r.lock);
  (previous_ != nullptr ? previous_->next_ : r.first) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  mark_->store(0, std::memory_order_relaxed);
}

void thread_registration::find_stack() noexcept {
  pthread_attr_t attributes;
  if (::pthread_getattr_np(handle_, &attributes) != 0) return;
  void* bottom = nullptr;
  std::size_t size = 0;
  ::pthread_attr_getstack(&attributes, &bottom, &size);
  ::pthread_attr_destroy(&attributes);
  bottom_ = reinterpret_cast<std::uintptr_t>(bottom);
  top_ = bottom_ + size;
}

known_threads::known_threads() noexcept { all().lock.lock(); }
known_threads::~known_threads() { all().lock.unlock(); }
thread_registration* known_threads::first() const noexcept { return all().first; }

void keep_only_this_thread() noexcept {
  registry& r = all();
  ::new (&r.lock) heddle::detail::thread_mutex(heddle::detail::lock_rank::registry);  // another thread may have held it
  thread_registration* self = r.first;
  while (self != nullptr && ::pthread_equal(self->handle(), ::pthread_self()) == 0) self = known_threads::after(*self);
  r.first = self;
  if (self == nullptr) return;
  self->number_ = ::gettid();
  self->next_ = self->previous_ = nullptr;
}

}  // namespace heddle::gc::detail
