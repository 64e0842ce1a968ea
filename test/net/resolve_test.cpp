// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/resolve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "heddle/net/detail/resolver.hpp"
#include "net/temporary.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::limits;
using heddle::net::resolve_errc;
using heddle::net::detail::resolver;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::late;
using heddle::testing::temporary_folder;
using heddle::testing::with_crew;
using endpoints = std::vector<endpoint>;

/// A name server: knows all names, and answers when it is told to.
class server {
 public:
  explicit server(bool open) : open_(open) {}
  auto function() {
    return [this](const std::string& host, const std::string& service, endpoints& found) -> std::error_code {
      std::unique_lock hold(lock_);
      asked_.push_back(host + "/" + service);
      most_ = std::max(most_, ++inside_);
      changed_.notify_all();
      changed_.wait(hold, [&] { return open_; });
      --inside_;
      if (host == "unknown") return resolve_errc::host_not_found;
      if (host == "throws") throw std::runtime_error("as told");
      found = {endpoint::parse("192.0.2.1:80"), endpoint::parse("[2001:db8::1]:80")};
      return {};
    };
  }
  void open() {
    const std::lock_guard hold(lock_);
    open_ = true;
    changed_.notify_all();
  }
  /// Blocks the thread until n calls have begun.
  void await(std::size_t n) {
    heddle::blocking([&] {
      std::unique_lock hold(lock_);
      expect(changed_.wait_for(hold, late, [&] { return asked_.size() >= n; }));
    });
  }
  std::vector<std::string> asked() {
    const std::lock_guard hold(lock_);
    return asked_;
  }
  std::size_t most_inside() {
    const std::lock_guard hold(lock_);
    return most_;
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool open_;
  std::size_t inside_ = 0, most_ = 0;
  std::vector<std::string> asked_;
};

const endpoints answer = {endpoint::parse("192.0.2.1:80"), endpoint::parse("[2001:db8::1]:80")};
constexpr const char* no_hosts = "/nonexistent/hosts";

endpoints find(resolver& r, std::string_view host, std::string_view service = "80") {
  std::error_code ec;
  endpoints found = r.resolve(host, service, {}, ec);
  expect(!ec);
  return found;
}

bool is_one(const endpoints& found, const char* text) { return found == endpoints{endpoint::parse(text)}; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(resolve, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(asks_nobody_for_addresses) {
  server s(true);
  resolver r(no_hosts, s.function());
  BOOST_TEST(is_one(find(r, "192.0.2.7"), "192.0.2.7:80"));
  BOOST_TEST(is_one(find(r, "192.0.2.7", "65535"), "192.0.2.7:65535"));
  BOOST_TEST(is_one(find(r, "192.0.2.7", ""), "192.0.2.7:0"));
  BOOST_TEST(is_one(find(r, "2001:db8::7"), "[2001:db8::7]:80"));
  BOOST_TEST(is_one(find(r, "fe80::1%3"), "[fe80::1%3]:80"));
  BOOST_TEST(s.asked().size() == 0u);
}

BOOST_AUTO_TEST_CASE(asks_nobody_for_localhost) {
  server s(true);
  resolver r(no_hosts, s.function());
  const endpoints loopback = {endpoint::loopback_v6(80), endpoint::loopback_v4(80)};
  for (const char* name : {"localhost", "LocalHost", "localhost.", "db.localhost"})
    BOOST_TEST((find(r, name) == loopback), name);
  BOOST_TEST(s.asked().size() == 0u);
  heddle::run([&] {
    for (const char* name : {"notlocalhost", "localhost.example"}) BOOST_TEST((find(r, name) == answer), name);
  });
  BOOST_TEST(s.asked().size() == 2u);
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_name) {
  server s(true);
  resolver r(no_hosts, s.function());
  std::error_code ec;
  for (const std::string& host : {std::string(), std::string("a\0b", 3)}) {
    BOOST_TEST(r.resolve(host, "80", {}, ec).empty());
    BOOST_TEST((ec == resolve_errc::host_not_found));
  }
  BOOST_TEST(s.asked().size() == 0u);
}

BOOST_AUTO_TEST_CASE(reads_the_hosts_file) {
  const temporary_folder folder;
  folder.write("hosts",
               "# 192.0.2.9 commented\n"
               "192.0.2.1\tone uno # 1\n"
               "\n"
               "no.address at all\n"
               "2001:db8::2 Two two.example\n"
               "  192.0.2.2 two\r\n"
               "fe80::3%3 three\n"
               "192.0.2.5 localhost\n"
               "192.0.2.4 last");
  server s(true);
  resolver r(folder.path("hosts"), s.function());
  heddle::run([&] {
    BOOST_TEST(is_one(find(r, "one"), "192.0.2.1:80"));
    BOOST_TEST(is_one(find(r, "uno.", "8080"), "192.0.2.1:8080"));
    BOOST_TEST((find(r, "TWO") == endpoints{endpoint::parse("[2001:db8::2]:80"), endpoint::parse("192.0.2.2:80")}));
    BOOST_TEST(is_one(find(r, "three"), "[fe80::3%3]:80"));
    BOOST_TEST(is_one(find(r, "last"), "192.0.2.4:80"));
    BOOST_TEST(is_one(find(r, "localhost"), "192.0.2.5:80"));
    BOOST_TEST(s.asked().size() == 0u);
    for (const char* name : {"commented", "1", "#", "at", "no.address"}) BOOST_TEST((find(r, name) == answer));
    BOOST_TEST(s.asked().size() == 5u);
  });
}

BOOST_AUTO_TEST_CASE(reads_it_again_when_it_has_changed) {
  const temporary_folder folder;
  server s(true);
  resolver r(folder.path("hosts"), s.function());
  heddle::run([&] { BOOST_TEST((find(r, "host") == answer)); });
  const auto with_time = [&](const char* text, time_t seconds) {
    folder.write("hosts", text);
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    BOOST_REQUIRE(::utimensat(AT_FDCWD, folder.path("hosts").c_str(), times, 0) == 0);
  };
  with_time("192.0.2.1 host\n", 1000);
  BOOST_TEST(is_one(find(r, "host"), "192.0.2.1:80"));
  with_time("192.0.2.2 host\n", 1001);
  BOOST_TEST(is_one(find(r, "host"), "192.0.2.2:80"));
  with_time("192.0.2.3 host\n", 1001);  // looks the same, so it is not read
  BOOST_TEST(is_one(find(r, "host"), "192.0.2.2:80"));
  with_time("192.0.2.30 host\n", 1001);
  BOOST_TEST(is_one(find(r, "host"), "192.0.2.30:80"));
  ::unlink(folder.path("hosts").c_str());
  heddle::run([&] { BOOST_TEST((find(r, "host") == answer)); });
}

BOOST_AUTO_TEST_CASE(looks_up_the_rest) {
  for (const auto& setting : all_settings) {
    server s(true);
    resolver r(no_hosts, s.function());
    with_crew(setting, [&](crew& c) {
      for (int i = 0; i < 8; ++i)
        c.start([&] {
          std::error_code ec;
          expect(r.resolve("known", "80", {}, ec) == answer && !ec);
          expect(r.resolve("192.0.2.1", "http", {}, ec) == answer && !ec);
          expect(r.resolve("unknown", "80", {}, ec).empty() && ec == resolve_errc::host_not_found);
          expect(r.resolve("throws", "80", {}, ec).empty() && ec == std::errc::not_enough_memory);
        });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(callers_that_ask_for_the_same_share_a_call) {
  for (const auto& setting : all_settings) {
    server s(false);
    resolver r(no_hosts, s.function());
    std::atomic<int> entered{0};
    with_crew(setting, [&](crew& c) {
      for (const char* host : {"a", "b", "A"})
        for (int i = 0; i < 5; ++i)
          c.start([&, host] {
            std::error_code ec;
            ++entered;
            expect(r.resolve(host, "80", {}, ec) == answer);
          });
      s.await(2);
      while (entered != 15) heddle::this_fiber::sleep_for(1ms);
      heddle::this_fiber::sleep_for(20ms);  // those that have entered wait by now, or make a further call
      BOOST_TEST(s.asked().size() == 2u);
      s.open();
      c.join();
      const std::size_t before_another = s.asked().size();
      BOOST_TEST((find(r, "a") == answer));
      BOOST_TEST(s.asked().size() == before_another + 1, "an answer is not kept");
    });
  }
}

BOOST_AUTO_TEST_CASE(calls_at_once_are_limited) {
  server s(false);
  resolver r(no_hosts, s.function(), 3);
  heddle::run([&] {
    std::vector<heddle::join_handle<void>> all;
    for (int i = 0; i < 12; ++i)
      all.push_back(heddle::spawn([&, i] { expect(find(r, "host" + std::to_string(i)) == answer); }));
    s.await(3);
    heddle::this_fiber::sleep_for(20ms);
    BOOST_TEST(s.asked().size() == 3u);
    s.open();
    for (auto& f : all) f.join();
  });
  BOOST_TEST(s.asked().size() == 12u);
  BOOST_TEST(s.most_inside() <= 3u);
}

BOOST_AUTO_TEST_CASE(an_abandoned_call_goes_on_and_is_joined) {
  heddle::options one_processor;  // on which a fiber that is made waits before its maker's sleep is over
  one_processor.procs = 1;
  server s(false);
  resolver r(no_hosts, s.function());
  heddle::run(
      [&] {
        std::error_code ec;
        BOOST_TEST(r.resolve("slow", "80", 10ms, ec).empty());
        BOOST_TEST((ec == std::errc::timed_out));
        s.await(1);
        std::stop_source source;
        auto stopped = heddle::spawn([&] {
          std::error_code stop_ec;
          expect(r.resolve("slow", "80", {60s, source.get_token()}, stop_ec).empty());
          return stop_ec;
        });
        heddle::this_fiber::sleep_for(10ms);
        source.request_stop();
        BOOST_TEST((stopped.join() == std::errc::operation_canceled));
        auto later = heddle::spawn([&] { return find(r, "slow"); });
        heddle::this_fiber::sleep_for(10ms);
        s.open();
        BOOST_TEST((later.join() == answer));
      },
      one_processor);
  BOOST_TEST(s.asked().size() == 1u);
}

BOOST_AUTO_TEST_CASE(limits_that_have_passed_begin_no_call) {
  server s(true);
  resolver r(no_hosts, s.function());
  std::stop_source source;
  source.request_stop();
  heddle::run([&] {
    std::error_code ec;
    BOOST_TEST(r.resolve("host", "80", 0s, ec).empty());
    BOOST_TEST((ec == std::errc::timed_out));
    BOOST_TEST(r.resolve("host", "80", source.get_token(), ec).empty());
    BOOST_TEST((ec == std::errc::operation_canceled));
    BOOST_TEST(r.resolve("192.0.2.1", "80", 0s, ec).size() == 1u);
    BOOST_TEST(!ec);
  });
  BOOST_TEST(s.asked().size() == 0u);
}

BOOST_AUTO_TEST_CASE(a_query_without_callers_makes_no_call) {
  server s(false);
  heddle::run([&] {
    resolver r(no_hosts, s.function(), 1);
    std::error_code ec;
    BOOST_TEST(r.resolve("first", "80", 10ms, ec).empty());
    s.await(1);
    BOOST_TEST(r.resolve("second", "80", 10ms, ec).empty());
    BOOST_TEST((ec == std::errc::timed_out));
    s.open();
  });  // which waits for the resolver's fibers, longer than there is a resolver
  BOOST_TEST((s.asked() == std::vector<std::string>{"first/80"}));
}

BOOST_AUTO_TEST_CASE(another_function_may_be_asked_first) {
  for (const auto& setting : all_settings) {
    server s(true);
    std::atomic<int> inside{0}, most{0};
    resolver r(no_hosts, {.blocking = s.function(),
                          .first = [&](const std::string& host, std::uint16_t port, const std::stop_token&,
                                       endpoints& found) -> std::optional<std::error_code> {
                            int now = ++inside;
                            for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                            }
                            heddle::this_fiber::sleep_for(1ms);
                            --inside;
                            if (host == "throws") throw std::runtime_error("as told");
                            if (host == "nobody") return resolve_errc::host_not_found;
                            if (host == "known") return std::nullopt;
                            found = {endpoint::loopback_v4(port)};
                            return std::error_code();
                          },
                          .most_first = 3});
    with_crew(setting, [&](crew& c) {
      for (int i = 0; i < 8; ++i)
        c.start([&, i] {
          std::error_code ec;
          expect(is_one(r.resolve("host" + std::to_string(i), "81", {}, ec), "127.0.0.1:81") && !ec);
          expect(is_one(r.resolve("host", "", {}, ec), "127.0.0.1:0") && !ec);
          expect(is_one(r.resolve("host", "http", {}, ec), "127.0.0.1:80") && !ec);
          expect(r.resolve("host", "no-such-service", {}, ec).empty() && ec == resolve_errc::service_not_found);
          expect(r.resolve("known", "http", {}, ec) == answer && !ec);
          expect(r.resolve("nobody", "80", {}, ec).empty() && ec == resolve_errc::host_not_found);
          expect(r.resolve("throws", "80", {}, ec).empty() && ec == std::errc::not_enough_memory);
        });
      c.join();
    });
    BOOST_TEST(most <= 3);
    for (const std::string& asked : s.asked()) BOOST_TEST(asked == "known/80");
  }
}

BOOST_AUTO_TEST_CASE(a_function_that_is_asked_first_is_stopped) {
  server s(false);
  std::atomic<int> begun{0}, stopped{0};
  heddle::run([&] {
    resolver r(no_hosts, {.blocking = s.function(),
                          .most_blocking = 1,
                          .first = [&](const std::string& host, std::uint16_t, const std::stop_token& abandoned,
                                       endpoints&) -> std::optional<std::error_code> {
                            if (host == "blocking") return std::nullopt;
                            ++begun;
                            while (!abandoned.stop_requested()) heddle::this_fiber::sleep_for(1ms);
                            ++stopped;
                            return std::nullopt;
                          },
                          .most_first = 1});
    for (int i = 1; i <= 3; ++i) {
      // The first caller leaves, and the second one keeps it; that one is not joined when it has left, too.
      auto second = heddle::spawn([&] {
        std::error_code ec;
        r.resolve("slow", "80", 50ms, ec);
        return ec;
      });
      std::error_code ec;
      BOOST_TEST(r.resolve("slow", "80", 10ms, ec).empty());
      BOOST_TEST((ec == std::errc::timed_out));
      BOOST_TEST((second.join() == std::errc::timed_out));
      const auto until = std::chrono::steady_clock::now() + late;
      while (stopped < begun && std::chrono::steady_clock::now() < until) heddle::this_fiber::sleep_for(1ms);
    }
    BOOST_TEST(stopped == begun);
    BOOST_TEST(s.asked().size() == 0u);
    // One blocks, and another that waits for its turn is broken off: so the end need not wait for it.
    auto first = heddle::spawn([&] { return find(r, "blocking"); });
    s.await(1);
    std::error_code ec;
    BOOST_TEST(r.resolve("blocking", "81", 10ms, ec).empty());
    BOOST_TEST((ec == std::errc::timed_out));
    s.open();
    BOOST_TEST((first.join() == answer));
  });
  BOOST_TEST((s.asked() == std::vector<std::string>{"blocking/80"}));
}

BOOST_AUTO_TEST_CASE(a_query_that_is_broken_off_is_not_joined) {
  std::atomic<int> begun{0};
  std::atomic<bool> may_end{false};
  heddle::run([&] {
    server s(true);
    resolver r(no_hosts, {.blocking = s.function(),
                          .first = [&](const std::string&, std::uint16_t port, const std::stop_token& abandoned,
                                       endpoints& found) -> std::optional<std::error_code> {
                            if (++begun == 1) {
                              while (!abandoned.stop_requested() || !may_end) heddle::this_fiber::sleep_for(1ms);
                              return std::make_error_code(std::errc::operation_canceled);
                            }
                            found = {endpoint::loopback_v4(port)};
                            return std::error_code();
                          }});
    std::stop_source source;
    auto leaves = heddle::spawn([&] {
      std::error_code ec;
      expect(r.resolve("slow", "80", source.get_token(), ec).empty());
      return ec;
    });
    while (begun == 0) heddle::this_fiber::sleep_for(1ms);
    source.request_stop();
    BOOST_TEST((leaves.join() == std::errc::operation_canceled));
    std::error_code ec;
    BOOST_TEST(is_one(r.resolve("slow", "80", late, ec), "127.0.0.1:80"));
    BOOST_TEST(!ec);
    may_end = true;
  });
  BOOST_TEST(begun == 2);
}

BOOST_AUTO_TEST_CASE(works_on_plain_threads) {
  server s(true);
  {
    resolver r(no_hosts, s.function());
    BOOST_TEST((find(r, "host") == answer));
    std::error_code ec;
    BOOST_TEST(r.resolve("unknown", "80", 60s, ec).empty());
    BOOST_TEST((ec == resolve_errc::host_not_found));
  }
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(the_system_is_asked) {
  endpoints found;
  // Services: getaddrinfo knows them by itself, without a network.
  BOOST_TEST(!heddle::net::detail::look_up("127.1", "80", found));
  BOOST_TEST(is_one(found, "127.0.0.1:80"));
  found.clear();
  BOOST_TEST((heddle::net::detail::look_up("127.0.0.1", "no-such-service", found) == resolve_errc::service_not_found));
  BOOST_TEST(found.empty());
}

BOOST_AUTO_TEST_SUITE_END()

// The resolver of the process stays.
BOOST_AUTO_TEST_SUITE(resolve_of_the_process)

BOOST_AUTO_TEST_CASE(forms) {
  heddle::run([] {
    BOOST_TEST(!heddle::net::resolve("localhost", 80).empty());
    BOOST_TEST(is_one(heddle::net::resolve("127.0.0.1", 80), "127.0.0.1:80"));
    BOOST_TEST(is_one(heddle::net::resolve("127.1", "80"), "127.0.0.1:80"));
    std::error_code ec;
    BOOST_TEST(heddle::net::resolve("", 80, {}, ec).empty());
    BOOST_TEST((ec == resolve_errc::host_not_found));
    try {
      heddle::net::resolve("127.0.0.1", "no-such-service");
      BOOST_ERROR("does not throw");
    } catch (const heddle::io::error& e) {
      BOOST_TEST(e.what() == "resolve 127.0.0.1: " + make_error_code(resolve_errc::service_not_found).message());
      BOOST_TEST((e.code().category() == heddle::net::resolve_category()));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
