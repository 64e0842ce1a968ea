// SPDX-License-Identifier: BSL-1.0
#include "collected_threads.hpp"

#include <array>
#include <cstdint>

#include "barrier/thread_end.hpp"
#include "barrier/words.hpp"
#include "cycle/fork.hpp"
#include "cycle/misplaced.hpp"
#include "model/model.hpp"
#include "roots/globals.hpp"
#include "roots/registers.hpp"
#include "roots/threads.hpp"

namespace heddle::gc::detail {

namespace {

/// What is thread-local in the product, by the numbers of model threads.
struct thread_words {
  mutator_state words;
  mutator* self = nullptr;
  void (*end)(void*) = nullptr;
  void* argument = nullptr;
};
std::array<thread_words, 16> of_threads;
thread_words& mine() noexcept { return of_threads.at(model::current_thread()); }

heddle::detail::atomic<int> moment{0};
int no_pointer = 0;
const void* const none = nullptr;
std::atomic<std::uint8_t> no_mark{0};

}  // namespace

mutator_state& words() noexcept { return mine().words; }
mutator*& this_mutator() noexcept { return mine().self; }

void at_thread_end(void (*end)(void*), void* argument) noexcept {
  mine().end = end;
  mine().argument = argument;
}

bool armed() noexcept {
  const bool is = words().armed.load(std::memory_order_relaxed) != 0;
  moment.load(std::memory_order_relaxed);  // others may act before the store that follows
  return is;
}

bool armed_or_noting() noexcept {
  const mutator_state& w = words();
  const bool is = w.armed.load(std::memory_order_relaxed) != 0 || w.notes.load(std::memory_order_relaxed) != 0;
  moment.load(std::memory_order_relaxed);
  return is;
}

bool inserts_or_noting() noexcept {
  const mutator_state& w = words();
  const bool is = w.notes.load(std::memory_order_relaxed) != 0 || w.inserts.load(std::memory_order_relaxed) != 0;
  moment.load(std::memory_order_relaxed);
  return is;
}

bool inserts() noexcept {
  const bool is = words().inserts.load(std::memory_order_relaxed) != 0;
  moment.load(std::memory_order_relaxed);
  return is;
}

// The rest of what is not a model's.
thread_registration::thread_registration() noexcept : handle_(), number_(no_pointer), mark_(&no_mark), caught_(&none) {}
thread_registration::~thread_registration() = default;
void leave_out(const void*, std::size_t) noexcept {}
void heed_forks() noexcept {}
void forget_vectors() noexcept {}
void look_for_misplaced() noexcept {}

}  // namespace heddle::gc::detail

namespace collected {

using namespace heddle::gc::detail;

void end_thread() noexcept {
  thread_words& t = mine();
  if (t.end != nullptr) std::exchange(t.end, nullptr)(t.argument);
}

bool is_inside(unsigned thread) noexcept {
  // A read-modify-write, since that reads the newest value: in the product the thread itself looks, in a handler.
  // acquire: as whoever stops a thread sees what it did.
  return of_threads.at(thread).words.critical.fetch_or(0, std::memory_order_acquire) != 0;
}

}  // namespace collected
