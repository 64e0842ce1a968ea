// SPDX-License-Identifier: BSL-1.0
//
// Source: the Itanium C++ ABI, exception handling, section 2.4: who calls the two functions.
#include "roots/exceptions.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#include "barrier/critical.hpp"
#include "heap/heap.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/gc/detail/barrier.hpp"
#include "roots/copied_words.hpp"

// Not there in programs that are linked whole and statically, which have the C++ library's functions instead of these.
#pragma weak dlsym

namespace heddle::gc::detail {
namespace {

using heddle::detail::thread_lock;

/// The function of that name behind these: the C++ library's.
template <class F>
class next_function {
 public:
  constexpr explicit next_function(const char* name) noexcept : name_(name) {}
  F* get() noexcept {
    F* f = known_.load(std::memory_order_relaxed);
    if (f == nullptr) known_.store(f = find(), std::memory_order_relaxed);
    return f;
  }

 private:
  F* find() const noexcept {
    auto* const f = dlsym != nullptr ? reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name_)) : nullptr;
    if (f != nullptr) return f;
    std::fprintf(stderr, "heddle: no C++ library has %s\n", name_);
    std::abort();
  }

  const char* name_;
  std::atomic<F*> known_{nullptr};
};

constinit next_function<void*(std::size_t)> next_allocate{"__cxa_allocate_exception"};
constinit next_function<void(void*)> next_free{"__cxa_free_exception"};

/// The static C++ library has the two functions in one file with these. So that file is linked, and its functions come
/// before the weak ones, both of them or none.
[[gnu::used]] auto* const with_the_whole_file = &abi::__cxa_allocate_dependent_exception;

struct listed {
  const char* object;
  std::size_t bytes;
  listed* next;
};

/// Exceptions by their addresses.
class exception_table {
 public:
  constexpr exception_table() noexcept = default;

  void add(listed& e) noexcept {
    bucket& b = bucket_of(e.object);
    const unstoppable here;
    const thread_lock hold(b.lock);
    e.next = b.first.load(std::memory_order_relaxed);
    b.first.store(&e, std::memory_order_relaxed);
  }
  /// Takes it out; null: it was not in the table.
  listed* remove(const void* object) noexcept {
    bucket& b = bucket_of(object);
    const unstoppable here;
    const thread_lock hold(b.lock);
    listed* before = nullptr;
    listed* const e = find(b, object, before);
    if (e == nullptr) return nullptr;
    if (before != nullptr)
      before->next = e->next;
    else
      b.first.store(e->next, std::memory_order_relaxed);
    return e;
  }
  /// The size of an object; 0: it is not in the table.
  std::size_t bytes_of(const void* object) noexcept {
    bucket& b = bucket_of(object);
    const unstoppable here;
    const thread_lock hold(b.lock);
    listed* before = nullptr;
    const listed* const e = find(b, object, before);
    return e != nullptr ? e->bytes : 0;
  }
  /// f(const listed&) for each, under a lock. A bucket that is still empty may be passed over: see the header.
  template <class F>
  void for_each(F f) noexcept {
    for (bucket& b : buckets_) {
      if (b.first.load(std::memory_order_relaxed) == nullptr) continue;
      const thread_lock hold(b.lock);
      for (const listed* e = b.first.load(std::memory_order_relaxed); e != nullptr; e = e->next) f(*e);
    }
  }

  // Around a fork, so that the child finds the table whole.
  void lock_all() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    for (bucket& b : buckets_) b.lock.lock();
  }
  void unlock_all() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    for (bucket& b : buckets_) b.lock.unlock();
  }

 private:
  static constexpr unsigned bucket_bits = 8;
  struct bucket {
    heddle::detail::thread_mutex lock{heddle::detail::lock_rank::lists};
    std::atomic<listed*> first{nullptr};  // changes under the lock
  };

  bucket& bucket_of(const void* object) noexcept {
    constexpr std::uint64_t golden = 0x9E37'79B9'7F4A'7C15;
    return buckets_[reinterpret_cast<std::uintptr_t>(object) / 16 * golden >> (64 - bucket_bits)];
  }
  static listed* find(bucket& b, const void* object, listed*& before) noexcept HEDDLE_REQUIRES(b.lock) {
    listed* e = b.first.load(std::memory_order_relaxed);
    for (; e != nullptr && e->object != object; e = e->next) before = e;
    return e;
  }

  std::array<bucket, std::size_t{1} << bucket_bits> buckets_;
};

constinit exception_table exceptions;
/// False: the C++ library frees exceptions behind our back.
constinit std::atomic<bool> lists{true};

/// An entry has the memory of an exception: the C++ library has some even when malloc has none.
void add(void* object, std::size_t bytes) noexcept {
  std::memset(object, 0, bytes);  // what malloc's last user left there would keep objects
  exceptions.add(*::new (next_allocate.get()(sizeof(listed))) listed{static_cast<const char*>(object), bytes, nullptr});
}

void remove(const void* object) noexcept {
  if (listed* const e = exceptions.remove(object); e != nullptr) next_free.get()(e);
}

/// The object is about to be freed while stacks are being scanned. Only of what may be an object, since telling makes
/// the thread known to the collector.
void tell_words(const char* object) noexcept {
  const std::size_t bytes = exceptions.bytes_of(object);
  for (std::size_t at = 0; at + sizeof(void*) <= bytes; at += sizeof(void*)) {
    const void* word = nullptr;
    std::memcpy(&word, object + at, sizeof word);
    const block b = the_regions.find(reinterpret_cast<std::uintptr_t>(word));
    if (b && b.is_allocated()) shade(word);
  }
}

/// Before the constructors of static objects. An exception that comes and goes shows whether the C++ library's own
/// calls reach the functions below, too: else what is listed would stay so for ever.
[[gnu::constructor(101)]] void begin() noexcept {
  ::pthread_atfork([] { exceptions.lock_all(); }, [] { exceptions.unlock_all(); }, [] { exceptions.unlock_all(); });
  const void* object = nullptr;
  {
    const std::exception_ptr probe = std::make_exception_ptr(0);
    std::memcpy(&object, &probe, sizeof object);
  }
  if (exceptions.bytes_of(object) == 0) return;
  lists.store(false, std::memory_order_relaxed);
  remove(object);
}

}  // namespace

void scan_exceptions(root_sink& sink) noexcept {
  exceptions.for_each([&](const listed& e) { tell_copied(sink, e.object, e.bytes); });
}

}  // namespace heddle::gc::detail

// The ABI's names, which are reserved.

extern "C" [[gnu::weak, gnu::visibility("default")]] void* __cxa_allocate_exception(std::size_t bytes) noexcept {
  using namespace heddle::gc::detail;
  void* const object = next_allocate.get()(bytes);
  if (lists.load(std::memory_order_relaxed)) add(object, bytes);
  return object;
}

extern "C" [[gnu::weak, gnu::visibility("default")]] void __cxa_free_exception(void* object) noexcept {
  using namespace heddle::gc::detail;
  if (inserts()) tell_words(static_cast<const char*>(object));
  remove(object);
  next_free.get()(object);
}
