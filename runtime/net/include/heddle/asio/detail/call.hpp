// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <type_traits>
#include <utility>

#include "heddle/asio/detail/errand.hpp"
#include "heddle/asio/detail/reactor_thread.hpp"
#include "heddle/detail/start.hpp"

namespace heddle::asio::detail {

/// f() on a reactor's thread. It lies on the stack of its caller, which waits.
template <class F>
class visit : public errand {
  struct call_of_f {
    F&& f;
    std::invoke_result_t<F> operator()() { return std::forward<F>(f)(); }
  };
  using closure = heddle::detail::large_joinable_closure<call_of_f>;

 public:
  explicit visit(F&& f) noexcept : visit([&]() -> call_of_f { return {std::forward<F>(f)}; }) {}
  /// When it has run: what f returned or threw.
  std::invoke_result_t<F> take() { return body_.take(); }

 private:
  template <class Make>
  requires std::is_same_v<std::invoke_result_t<Make&>, call_of_f>
  explicit visit(Make make) noexcept : errand(run, 1), body_(make) {}
  static void run(command& c) noexcept {
    auto& self = static_cast<visit&>(c);
    closure::run(&self.body_);
    self.let_go();
  }
  closure body_;
};

template <class F>
std::invoke_result_t<F> called_there(reactor_thread& thread, F&& f) {
  if (thread.is_here()) return std::forward<F>(f)();
  visit<F> there(std::forward<F>(f));
  thread.send(there);
  there.await();
  return there.take();
}

}  // namespace heddle::asio::detail
