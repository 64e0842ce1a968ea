// SPDX-License-Identifier: BSL-1.0
//
// boost::intrusive_ptr: counted, the count in front of the object, on the malloc that the driver preloads.
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>  // thread_safe_counter
#include <cstddef>
#include <memory>
#include <utility>

#include "alloc/common/preloaded.hpp"
#include "gc/memory/threads.hpp"

namespace perf::gc {

/// An object behind its count. So a type needs no base class, and can be used with every other kind of memory.
template <class T>
struct counted_block {
  using counter = boost::thread_safe_counter;

  template <class... A>
  explicit counted_block(A&&... values) : count(0), value{std::forward<A>(values)...} {}

  static counted_block* of(T* value) {
    constexpr std::size_t offset = (sizeof(counter::type) + alignof(T) - 1) / alignof(T) * alignof(T);
    return reinterpret_cast<counted_block*>(reinterpret_cast<std::byte*>(value) - offset);
  }

  counter::type count;
  T value;
};

/// Found by the namespace of T, which is that of every problem.
template <class T>
void intrusive_ptr_add_ref(T* value) {
  counted_block<T>::counter::increment(counted_block<T>::of(value)->count);
}
template <class T>
void intrusive_ptr_release(T* value) {
  counted_block<T>* const block = counted_block<T>::of(value);
  if (counted_block<T>::counter::decrement(block->count) == 0) delete block;
}

/// See manual_memory. Arrays are std::shared_ptr's: Boost has no such array.
struct intrusive_memory : on_threads {
  static constexpr bool by_hand = false;
  static constexpr bool collects = false;
  template <class T>
  using link = boost::intrusive_ptr<T>;
  template <class T>
  using back = T*;
  template <class T>
  using hold = boost::intrusive_ptr<T>;
  template <class T>
  using array = std::shared_ptr<T[]>;
  template <class T>
  using array_link = std::shared_ptr<T[]>;

  template <class T, class... A>
  static boost::intrusive_ptr<T> make(A&&... values) {
    auto* const block = new counted_block<T>(std::forward<A>(values)...);
    require(counted_block<T>::of(&block->value) == block, "a count does not lie where it is looked for");
    return boost::intrusive_ptr<T>(&block->value);
  }
  template <class T>
  static std::shared_ptr<T[]> make_array(std::size_t n) {
    return std::make_shared<T[]>(n);
  }
  template <class T>
  static T* at(const boost::intrusive_ptr<T>& p) {
    return p.get();
  }
  template <class T>
  static T* at(const std::shared_ptr<T[]>& p) {
    return p.get();
  }
  template <class T>
  static T* at(T* p) {
    return p;
  }
  template <class T>
  static boost::intrusive_ptr<T> take(boost::intrusive_ptr<T>& from) {
    return std::move(from);
  }
  template <class T>
  static void release(T&&) {}
  template <class T>
  static void release_array(T&&) {}

  template <class F>
  static void run(const arguments& args, F&& f) {
    require_allocator();
    on_threads::run(args, f);
  }
};

}  // namespace perf::gc
