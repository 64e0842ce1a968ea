// SPDX-License-Identifier: BSL-1.0
//
// Results and exceptions of use_fiber, whatever an operation does with its handler.
#include "heddle/asio/use_fiber.hpp"

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <thread>
#include <tuple>

#if BOOST_ASIO_VERSION >= 102400
#define HAS_ADAPTERS 1
#include <boost/asio/as_tuple.hpp>
#else
#define HAS_ADAPTERS 0
#endif

#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "net/asio/loopback.hpp"
#include "support/leak_check.hpp"

namespace {

namespace net = boost::asio;
using boost::system::error_code;
using boost::system::system_error;
using heddle::asio::reactor;
using heddle::asio::use_fiber;
using heddle::testing::async_made;
using heddle::testing::async_values;
using heddle::testing::connection;

const error_code eof = net::error::eof;
const error_code aborted = net::error::operation_aborted;

auto has_code(const error_code& expected) {
  return [expected](const system_error& e) { return e.code() == expected; };
}

/// As on a fiber, so on a plain thread.
template <class F>
void on_fiber_and_thread(F f) {
  heddle::run([&] { f(); });
  f();
}

/// Its moves throw when told to.
struct fragile {
  bool breaks = false;
  explicit fragile(bool b) : breaks(b) {}
  fragile(fragile&& other) : breaks(other.breaks) {
    if (breaks && other.armed) throw std::out_of_range("broken");
  }
  bool armed = false;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(use_fiber_results, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(are_what_the_handler_was_called_with) {
  on_fiber_and_thread([] {
    reactor r;
    static_assert(std::is_void_v<decltype(async_values<void()>(r, use_fiber))>);
    static_assert(std::is_void_v<decltype(async_values<void(error_code)>(r, use_fiber, error_code()))>);
    async_values<void()>(r, use_fiber);
    async_values<void(error_code)>(r, use_fiber, error_code());
    BOOST_TEST(async_values<void(int)>(r, use_fiber, 1) == 1);
    BOOST_TEST(async_values<void(error_code, int)>(r, use_fiber, error_code(), 2) == 2);
    BOOST_TEST(async_values<void(std::exception_ptr, int)>(r, use_fiber, std::exception_ptr(), 3) == 3);
    const auto both = async_values<void(error_code, int, std::string)>(r, use_fiber, error_code(), 4, "four");
    BOOST_TEST((both == std::tuple(4, std::string("four"))));
  });
}

BOOST_AUTO_TEST_CASE(may_be_moved_only) {
  on_fiber_and_thread([] {
    reactor r;
    const std::unique_ptr<int> p =
        async_values<void(error_code, std::unique_ptr<int>)>(r, use_fiber, error_code(), std::make_unique<int>(7));
    BOOST_TEST(*p == 7);
  });
}

BOOST_AUTO_TEST_CASE(errors_are_thrown) {
  on_fiber_and_thread([] {
    reactor r;
    BOOST_CHECK_EXCEPTION(async_values<void(error_code)>(r, use_fiber, eof), system_error, has_code(eof));
    BOOST_CHECK_EXCEPTION((async_values<void(error_code, int)>(r, use_fiber, eof, 1)), system_error, has_code(eof));
    const auto own = std::make_exception_ptr(std::out_of_range("own"));
    BOOST_CHECK_THROW((async_values<void(std::exception_ptr, int)>(r, use_fiber, own, 1)), std::out_of_range);
  });
}

BOOST_AUTO_TEST_CASE(errors_go_where_they_are_asked_to) {
  on_fiber_and_thread([] {
    reactor r;
    error_code e = aborted;
    BOOST_TEST((async_values<void(error_code, int)>(r, use_fiber[e], error_code(), 5) == 5));
    BOOST_TEST(!e);
    BOOST_TEST((async_values<void(error_code, int)>(r, use_fiber[e], eof, 6) == 6));
    BOOST_TEST(e == eof);
    async_values<void(error_code)>(r, net::redirect_error(use_fiber, e), aborted);
    BOOST_TEST(e == aborted);
    BOOST_TEST((async_values<void(error_code, int)>(r, net::redirect_error(use_fiber, e), eof, 7) == 7));
    BOOST_TEST(e == eof);
#if HAS_ADAPTERS
    const auto [code, n] = async_values<void(error_code, int)>(r, net::as_tuple(use_fiber), eof, 8);
    BOOST_TEST(code == eof);
    BOOST_TEST(n == 8);
#endif
  });
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_never_called_is_an_error) {
  on_fiber_and_thread([] {
    reactor r;
    const auto drop = [](auto) {};
    BOOST_CHECK_EXCEPTION(async_made<void()>(r, drop, use_fiber), system_error, has_code(aborted));
    BOOST_CHECK_EXCEPTION((async_made<void(error_code, int)>(r, drop, use_fiber)), system_error, has_code(aborted));
    BOOST_CHECK_EXCEPTION((async_made<void(std::exception_ptr)>(r, drop, use_fiber)), system_error, has_code(aborted));
    error_code e;
    BOOST_TEST((async_made<void(error_code, int)>(r, drop, use_fiber[e]) == 0));
    BOOST_TEST(e == aborted);
#if HAS_ADAPTERS
    BOOST_CHECK_EXCEPTION((async_made<void(error_code, int)>(r, drop, net::as_tuple(use_fiber))), system_error,
                          has_code(aborted));
#endif
    // Later, by somebody else.
    std::thread other;
    const auto leave = [&](auto handler) {
      other = std::thread([h = std::move(handler)] { heddle::this_fiber::sleep_for(std::chrono::milliseconds(1)); });
    };
    BOOST_CHECK_EXCEPTION(async_made<void()>(r, leave, use_fiber), system_error, has_code(aborted));
    other.join();
  });
}

BOOST_AUTO_TEST_CASE(exceptions_of_the_initiation_come_out) {
  on_fiber_and_thread([] {
    reactor r;
    const auto fail = [](auto) { throw std::out_of_range("in the beginning"); };
    BOOST_CHECK_THROW((async_made<void(error_code, int)>(r, fail, use_fiber)), std::out_of_range);
    error_code e;
    BOOST_CHECK_THROW((async_made<void(error_code, int)>(r, fail, use_fiber[e])), std::out_of_range);
    // The handler is under way, and the call returns when that is over, too.
    std::atomic<bool> over{false};
    std::thread other;
    const auto begin_and_fail = [&](auto handler) {
      other = std::thread([&over, h = std::move(handler)]() mutable {
        heddle::this_fiber::sleep_for(std::chrono::milliseconds(5));
        over = true;
        std::move(h)(error_code(), 1);
      });
      throw std::out_of_range("after the beginning");
    };
    BOOST_CHECK_THROW((async_made<void(error_code, int)>(r, begin_and_fail, use_fiber)), std::out_of_range);
    BOOST_TEST(over.load());
    other.join();
  });
}

BOOST_AUTO_TEST_CASE(exceptions_of_the_moves_of_values_come_out) {
  on_fiber_and_thread([] {
    reactor r;
    const auto begin = [](auto handler) {
      fragile f(true);
      f.armed = true;
      std::move(handler)(std::move(f));
    };
    BOOST_CHECK_THROW(async_made<void(fragile)>(r, begin, use_fiber), std::out_of_range);
  });
}

BOOST_AUTO_TEST_CASE(may_come_before_the_initiation_returns) {
  on_fiber_and_thread([] {
    reactor r;
    // The initiation still refers to the caller's stack after the handler has run.
    std::string text(1000, 'x');
    bool seen = false;
    const auto at_once = [&, copy = text](auto handler) {
      std::move(handler)(error_code(), 9);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      seen = copy == text;
    };
    BOOST_TEST((async_made<void(error_code, int)>(r, at_once, use_fiber) == 9));
    BOOST_TEST(seen);
    net::dispatch(r.get_executor(), use_fiber);
  });
}

BOOST_AUTO_TEST_CASE(may_come_on_any_thread) {
  on_fiber_and_thread([] {
    reactor r;
    std::thread other;
    const auto elsewhere = [&](auto handler) {
      other = std::thread([h = std::move(handler)]() mutable { std::move(h)(error_code(), 10); });
    };
    BOOST_TEST((async_made<void(error_code, int)>(r, elsewhere, use_fiber) == 10));
    other.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(use_fiber_objects, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(read_and_write) {
  on_fiber_and_thread([] {
    reactor r;
    connection c(r);
    const std::string sent(100'000, 'a');
    std::size_t written = 0;
    std::thread writer([&] { written = net::async_write(c.client, net::buffer(sent), use_fiber); });
    std::string received(sent.size(), ' ');
    BOOST_TEST(net::async_read(c.server, net::buffer(received), use_fiber) == sent.size());
    writer.join();
    BOOST_TEST(written == sent.size());
    BOOST_TEST((received == sent));
    r.call([&] { c.client.close(); });
    char byte = 0;
    BOOST_CHECK_EXCEPTION(c.server.async_read_some(net::buffer(&byte, 1), use_fiber), system_error, has_code(eof));
  });
}

BOOST_AUTO_TEST_CASE(accept_returns_a_socket_of_the_same_reactor) {
  on_fiber_and_thread([] {
    reactor r;
    heddle::testing::tcp::acceptor a(r.get_executor(), heddle::testing::free_loopback_port());
    heddle::testing::tcp::socket client(r.get_executor());
    client.connect(a.local_endpoint());
    auto server = a.async_accept(use_fiber);
    net::async_write(client, net::buffer("x", 1), use_fiber);
    char byte = 0;
    BOOST_TEST(server.async_read_some(net::buffer(&byte, 1), use_fiber) == 1u);
    BOOST_TEST(byte == 'x');
  });
}

BOOST_AUTO_TEST_CASE(the_token_may_be_the_default) {
  on_fiber_and_thread([] {
    reactor r;
    connection c(r);
    using heddle::asio::use_fiber_t;
    use_fiber_t::as_default_on_t<heddle::testing::tcp::socket> client(std::move(c.client));
    auto server = use_fiber_t::as_default_on(std::move(c.server));
    BOOST_TEST(client.async_write_some(net::buffer("y", 1)) == 1u);
    char byte = 0;
    BOOST_TEST(server.async_read_some(net::buffer(&byte, 1)) == 1u);
    BOOST_TEST(byte == 'y');
  });
}

BOOST_AUTO_TEST_CASE(strands_of_the_reactor_are_found) {
  on_fiber_and_thread([] {
    reactor r;
    const auto strand = net::make_strand(r.get_executor());
    net::post(strand, use_fiber);
    const net::any_io_executor any = strand;
    net::post(any, use_fiber);
#if HAS_ADAPTERS
    net::post(net::bind_executor(any, use_fiber.on(r)));
#endif
  });
}

BOOST_AUTO_TEST_CASE(of_others_are_refused) {
  on_fiber_and_thread([] {
    net::io_context mine;
    BOOST_CHECK_THROW(net::post(mine, use_fiber), std::logic_error);
    net::thread_pool pool(1);
    BOOST_CHECK_THROW(net::post(net::any_io_executor(pool.get_executor()), use_fiber), std::logic_error);
    pool.join();
  });
}

BOOST_AUTO_TEST_CASE(of_others_may_complete_on_the_reactor) {
  on_fiber_and_thread([] {
    reactor r;
    net::thread_pool pool(1);
    net::post(pool, use_fiber.on(r));
    pool.join();
  });
}

BOOST_AUTO_TEST_CASE(are_refused_on_the_thread_of_the_reactor) {
  on_fiber_and_thread([] {
    reactor r;
    BOOST_CHECK_THROW(r.call([&] { net::post(r.get_executor(), use_fiber); }), std::logic_error);
  });
}

BOOST_AUTO_TEST_SUITE_END()
