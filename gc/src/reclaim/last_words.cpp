// SPDX-License-Identifier: BSL-1.0
//
// The words on stderr before an exception out of a destructor or a cleanup ends the process. A destructor is noexcept
// unless it says otherwise, so nothing around its call can catch the exception: only the handler of std::terminate()
// still sees it.
#include "reclaim/last_words.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "heddle/detail/current_exception.hpp"
#include "reclaim/endings.hpp"

namespace heddle::gc::detail {
namespace {

atomic<std::terminate_handler> earlier{nullptr};

void name_running(const ending& e) noexcept {
  const char* const what = e.is_cleanup() ? "a cleanup of an object of" : "the destructor of";
  if (std::current_exception() == nullptr)
    return (void)std::fprintf(stderr, "heddle: std::terminate() was called in %s %s\n", what, e.of->name);
  std::array<char, 1024> exception;
  heddle::detail::describe_exception(exception.data(), exception.size());
  std::fprintf(stderr, "heddle: an exception left %s %s: %s\n", what, e.of->name, exception.data());
}

[[noreturn]] void speak_and_end() {
  // Once: what() of the exception may end here, too, and the handler of the program may call this one as its earlier.
  static atomic<bool> was_called{false};
  if (was_called.exchange(true, std::memory_order_relaxed)) std::abort();
  if (the_endings().runs_here()) name_running(the_endings().running_here());
  if (const std::terminate_handler h = earlier.load(std::memory_order_relaxed); h != nullptr) h();
  std::abort();
}

}  // namespace

void name_endings_that_terminate() noexcept {
  if (std::get_terminate() == speak_and_end) return;
  earlier.store(std::set_terminate(speak_and_end), std::memory_order_relaxed);
}

}  // namespace heddle::gc::detail
