// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution.hpp>
#include <boost/asio/query.hpp>
#include <stdexcept>
#include <type_traits>

#include "heddle/asio/detail/reactor_thread.hpp"

namespace heddle::asio::detail {

/// Where an operation tells which executor its object has: itself, or its object, or what its object points to.
template <class T>
concept has_executor = requires(T& t) {
  t.get_executor();
};
template <class T>
concept points_to_executor = requires(T& t) {
  (*t).get_executor();
};
template <class T>  // the shared state of a WebSocket of Beast
concept points_to_stream = requires(T& t) {
  (*t).stream().get_executor();
};
template <class T>  // the operation inside of as_tuple, redirect_error and the like, which do not tell until Boost 1.82
concept wraps_operation = requires(T& t) {
  t.initiation_;
};

template <class T>
constexpr bool leads_to_executor() {
  if constexpr (wraps_operation<T>)
    return leads_to_executor<decltype(T::initiation_)>();
  else
    return has_executor<T> || points_to_executor<T> || points_to_stream<T>;
}
template <class T>
auto executor_of(T& t) {
  if constexpr (wraps_operation<T>)
    return executor_of(t.initiation_);
  else if constexpr (has_executor<T>)
    return t.get_executor();
  else if constexpr (points_to_executor<T>)
    return (*t).get_executor();
  else
    return (*t).stream().get_executor();
}

template <class Executor>
boost::asio::execution_context& context_of(const Executor& e) {
  if constexpr (boost::asio::execution::is_executor<Executor>::value)
    return boost::asio::query(e, boost::asio::execution::context);
  else
    return e.context();  // an executor of the Networking TS
}

/// The reactor whose io_context an operation belongs to, by the first of these that tells.
template <class First, class... Rest>
reactor_thread& find_reactor(First& first, Rest&... rest) {
  if constexpr (leads_to_executor<First>()) {
    boost::asio::execution_context& context = context_of(executor_of(first));
    reactor_thread* const thread = boost::asio::use_service<reactor_thread::service>(context).thread;
    if (thread == nullptr)
      throw std::logic_error(
          "heddle::asio::use_fiber: the object's executor is not that of a heddle::asio::reactor; make the object with "
          "reactor.get_executor()");
    return *thread;
  } else if constexpr (sizeof...(Rest) != 0) {
    return find_reactor(rest...);
  } else {
    static_assert(
        leads_to_executor<First>,
        "this operation does not tell which executor its object has: name the reactor, use_fiber.on(reactor)");
  }
}

}  // namespace heddle::asio::detail
