// SPDX-License-Identifier: BSL-1.0
//
// Not trusted on small stacks, unlike the rest of sync: it allocates and runs destructors.
#include "heddle/fiber_local.hpp"

#include <pthread.h>

#include <algorithm>
#include <new>
#include <vector>

#include "heddle/detail/thread_mutex.hpp"
#include "misuse.hpp"

namespace heddle::detail {

namespace {

/// Which places of tables are taken. Never destroyed: variables with static storage may be freed after it would be.
class variable_numbers {
 public:
  static variable_numbers& instance() noexcept {
    alignas(variable_numbers) static unsigned char space[sizeof(variable_numbers)];
    static variable_numbers* const numbers = [] {
      auto* const made = ::new (space) variable_numbers;
      ::pthread_atfork(nullptr, nullptr, [] { reinterpret_cast<variable_numbers*>(space)->after_fork_in_child(); });
      return made;
    }();
    return *numbers;
  }
  local_variable take() {
    const thread_lock hold(lock_);
    const work here(*this);
    free_places_.reserve(places_ + 1);  // so that giving back never allocates
    local_variable v{.number = last_number_ + 1, .place = places_};
    if (free_places_.empty()) {
      ++places_;
    } else {
      v.place = free_places_.back();
      free_places_.pop_back();
    }
    ++last_number_;
    return v;
  }
  void give_back(std::uint32_t place) noexcept {
    const thread_lock hold(lock_);
    const work here(*this);
    free_places_.push_back(place);
  }

 private:
  /// While it lives the members may be half changed.
  class work {
   public:
    explicit work(variable_numbers& n) noexcept : under_way_(n.under_way_) {
      under_way_.store(true, std::memory_order_relaxed);
      platform::light_barrier();  // before the changes: a child sees both in this order
    }
    ~work() {
      platform::light_barrier();  // after them, likewise
      under_way_.store(false, std::memory_order_relaxed);
    }
    work(const work&) = delete;
    work& operator=(const work&) = delete;

   private:
    atomic<bool>& under_way_;
  };

  /// A thread of the parent may have held the lock. If it was at work, the free places are lost, and places that it may
  /// have taken are not given out again.
  void after_fork_in_child() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    ::new (&lock_) thread_mutex;
    if (!under_way_.exchange(false, std::memory_order_relaxed)) return;
    ::new (&free_places_) std::vector<std::uint32_t>;
    ++places_;
    ++last_number_;
  }

  thread_mutex lock_;
  atomic<bool> under_way_{false};
  std::uint64_t last_number_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::uint32_t places_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::vector<std::uint32_t> free_places_ HEDDLE_GUARDED_BY(lock_);
};

/// More values than any fiber has: one that ends so many has destructors that make new ones for ever.
constexpr int most_at_end = 1'000'000;

}  // namespace

local_variable new_local_variable() { return variable_numbers::instance().take(); }
void free_local_variable(const local_variable& v) noexcept { variable_numbers::instance().give_back(v.place); }

own_locals& own_locals::get() {
  own_locals* mine = find();
  if (mine == nullptr) {
    mine = new own_locals(on_heap{});
    set_locals(mine);
  }
  return *mine;
}

void own_locals::end_on_heap(locals_base* self) noexcept {
  auto* const mine = static_cast<own_locals*>(self);
  set_locals(mine);  // destructors see the other values, and may make new ones
  delete mine;
}

void own_locals::grow(std::size_t place) {
  const std::size_t size = std::max<std::size_t>(place + 1, 2 * size_);
  auto* const table = new entry[size]();
  std::copy_n(table_, size_, table);
  delete[] table_;
  table_ = table;
  size_ = size;
}

local_value* own_locals::insert(local_value& value) noexcept {
  entry& place = table_[value.variable.place];
  local_value* const replaced = place.value;
  if (replaced != nullptr) remove(*replaced);
  value.older = newest_;
  value.newer = nullptr;
  if (newest_ != nullptr) newest_->newer = &value;
  newest_ = &value;
  place = {value.variable.number, &value};
  return replaced;
}

void own_locals::remove(local_value& value) noexcept {
  (value.newer != nullptr ? value.newer->older : newest_) = value.older;
  if (value.older != nullptr) value.older->newer = value.newer;
  table_[value.variable.place] = {};
}

void own_locals::clear() noexcept {
  // A value leaves the table before it ends, so a destructor that asks for its own variable gets a fresh value.
  for (int ended = 0; newest_ != nullptr; ++ended) {
    if (ended == most_at_end)
      misuse("fiber_local", this,
             "values make new ones in their destructors for ever; let destructors use values only");
    local_value& value = *newest_;
    remove(value);
    value.destroy(&value);
  }
  delete[] table_;
  table_ = nullptr;
  size_ = 0;
}

}  // namespace heddle::detail
