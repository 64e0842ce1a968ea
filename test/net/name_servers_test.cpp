// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/detail/name_servers.hpp"

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "heddle/heddle.hpp"
#include "heddle/net/resolve.hpp"
#include "net/name_server.hpp"
#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::limits;
using heddle::net::resolve_errc;
using heddle::net::detail::name_server_options;
using heddle::net::detail::resolver;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::expect;
using heddle::testing::late;
using heddle::testing::name_server;
using heddle::testing::temporary_folder;
using heddle::testing::with_crew;
using endpoints = std::vector<endpoint>;

constexpr std::uint16_t a = name_server::a, aaaa = name_server::aaaa;

/// A system with a name server, whose names nothing else knows.
class system_with {
 public:
  explicit system_with(const name_server& s, name_server_options o = {}) : options_(std::move(o)) {
    options_.resolv_conf = folder.path("resolv.conf");
    options_.nsswitch_conf = folder.path("nsswitch.conf");
    options_.port = s.port();
    folder.write("resolv.conf", "nameserver 127.0.0.1\nsearch example.test\n");
    folder.write("nsswitch.conf", "hosts: files dns # these\n");
  }
  resolver make() {
    return {folder.path("hosts"),
            {.blocking = [this](const std::string& host, const std::string&, endpoints& found) -> std::error_code {
               ++system_calls;
               found = {endpoint::parse(host == "127.1" ? "127.0.0.1:1" : "203.0.113.1:1")};
               return {};
             },
             .first = heddle::net::detail::ask_name_servers(options_)}};
  }

  const temporary_folder folder;
  std::atomic<int> system_calls{0};

 private:
  name_server_options options_;
};

/// So that a question which is not broken off outlasts the test.
constexpr name_server_options patient() { return {.timeout = 10min, .tries = 1}; }

std::string text_of(endpoints found) {
  std::sort(found.begin(), found.end());
  std::string text;
  for (const endpoint& e : found) text += e.to_string() + ' ';
  return text;
}
std::string find(resolver& r, std::string_view host, std::string_view service = "80", const limits& l = {}) {
  std::error_code ec;
  const endpoints found = r.resolve(host, service, l, ec);
  return ec ? ec.message() : text_of(found);
}
std::error_code error_of(resolver& r, std::string_view host, const limits& l = {}) {
  std::error_code ec;
  expect(r.resolve(host, "80", l, ec).empty() == static_cast<bool>(ec));
  return ec;
}
const std::string both = "192.0.2.1:80 [2001:db8::1]:80 ";

void await(const auto& holds) {
  const auto until = std::chrono::steady_clock::now() + late;
  while (!holds() && std::chrono::steady_clock::now() < until) heddle::this_fiber::sleep_for(1ms);
  expect(holds());
}

/// Before all tests: c-ares is loaded, and the poller has room for as many questions as go on at once. Both stay.
struct cares_in_use {
  cares_in_use() {
    name_server s;
    system_with system(s);
    resolver r = system.make();
    heddle::run([&] {
      std::vector<heddle::join_handle<void>> all;
      for (int i = 0; i < 300; ++i)
        all.push_back(heddle::spawn([&, i] { error_of(r, "silent.nr" + std::to_string(i) + ".test", 1s); }));
      for (auto& f : all) f.join();
    });
  }
};
BOOST_TEST_GLOBAL_FIXTURE(cares_in_use);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(name_servers, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(have_addresses) {
  for (const auto& setting : all_settings) {
    name_server s;
    system_with system(s);
    resolver r = system.make();
    with_crew(setting, [&](crew& c) {
      for (int i = 0; i < 4; ++i)
        c.start([&] {
          expect(find(r, "host.test") == both);
          expect(find(r, "Host.TEST.", "http") == both);
          expect(find(r, "four.test") == "192.0.2.1:80 ");
          expect(find(r, "six.test") == "[2001:db8::1]:80 ");
          expect(find(r, "alias.test", "") == "192.0.2.1:0 [2001:db8::1]:0 ");
          expect(find(r, "short") == both);
        });
      c.join();
    });
    BOOST_TEST(s.asked("short.example.test", a) > 0u);
    BOOST_TEST(s.connections() == 0u);
    BOOST_TEST(system.system_calls == 0);
  }
}

BOOST_AUTO_TEST_CASE(say_no) {
  name_server s;
  system_with system(s);
  resolver r = system.make();
  heddle::run([&] {
    BOOST_TEST((error_of(r, "missing.test") == resolve_errc::host_not_found));
    BOOST_TEST((error_of(r, "empty.test") == resolve_errc::no_address));
    BOOST_TEST((error_of(r, "fails.test") == resolve_errc::try_again));
    const std::error_code refused = error_of(r, "refused.test");
    BOOST_TEST((refused == resolve_errc::failed || refused == resolve_errc::try_again), refused.message());
    BOOST_TEST((error_of(r, std::string(64, 'x') + ".test") == resolve_errc::host_not_found));
    BOOST_TEST((error_of(r, "two..dots.test") == resolve_errc::host_not_found));
    BOOST_TEST(find(r, "host.test", "no-such-service") == make_error_code(resolve_errc::service_not_found).message());
  });
  BOOST_TEST(system.system_calls == 0);
}

BOOST_AUTO_TEST_CASE(that_are_not_there) {
  std::optional<name_server> s(std::in_place);
  system_with system(*s);
  resolver r = system.make();
  s.reset();
  heddle::run([&] { BOOST_TEST((error_of(r, "host.test") == resolve_errc::try_again)); });
}

BOOST_AUTO_TEST_CASE(that_never_answer) {
  name_server s;
  system_with system(s, {.timeout = 20ms, .tries = 2});
  resolver r = system.make();
  heddle::run([&] { BOOST_TEST((error_of(r, "silent.test") == resolve_errc::try_again)); });
  BOOST_TEST(s.asked("silent.test", a) == 2u);
}

BOOST_AUTO_TEST_CASE(are_asked_in_turn) {
  name_server second("127.0.0.2", 0, 2);
  system_with system(second, {.timeout = 100ms, .tries = 8});
  system.folder.write("resolv.conf", "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
  resolver r = system.make();
  heddle::run([&] { BOOST_TEST(find(r, "host.test") == "192.0.2.2:80 [2001:db8::2]:80 "); });
}

BOOST_AUTO_TEST_CASE(answers_that_need_tcp) {
  name_server s;
  system_with system(s);
  resolver r = system.make();
  heddle::run([&] {
    std::error_code ec;
    endpoints found = r.resolve("large.test", "80", {}, ec);
    BOOST_TEST(!ec);
    BOOST_TEST(found.size() == 2 * name_server::many);
    BOOST_TEST(std::set<endpoint>(found.begin(), found.end()).size() == found.size());
  });
  BOOST_TEST(s.connections() > 0u);
}

BOOST_AUTO_TEST_CASE(a_thousand_names_at_once) {
  name_server s;
  // A loaded server may lose some, so it is asked again.
  system_with system(s, {.timeout = 2s, .tries = 8});
  resolver r = system.make();
  for (const unsigned procs : {1u, 2u})
    heddle::run(
        [&] {
          std::atomic<int> right{0};
          heddle::wait_group all(1000);
          for (int i = 0; i < 1000; ++i)
            heddle::go([&, i] {
              if (find(r, "host" + std::to_string(i) + ".test") == both) ++right;
              all.done();
            });
          all.wait();
          BOOST_TEST(right == 1000);
        },
        {.procs = procs});
  BOOST_TEST(system.system_calls == 0);
}

BOOST_AUTO_TEST_CASE(equal_questions_are_asked_once) {
  for (const auto& setting : all_settings) {
    name_server s;
    system_with system(s, patient());
    resolver r = system.make();
    std::atomic<int> entered{0};
    with_crew(setting, [&](crew& c) {
      for (const char* host : {"slow.test", "SLOW.test"})
        for (int i = 0; i < 10; ++i)
          c.start([&, host] {
            ++entered;
            expect(find(r, host) == both);
          });
      await([&] { return entered == 20 && s.asked("slow.test", a) == 1 && s.asked("slow.test", aaaa) == 1; });
      heddle::this_fiber::sleep_for(20ms);  // those that have entered wait by now, or ask once more
      s.answer_slow();
      c.join();
    });
    BOOST_TEST(s.asked("slow.test", a) == 1u);
    BOOST_TEST(s.asked("slow.test", aaaa) == 1u);
  }
}

BOOST_AUTO_TEST_CASE(limits_of_one_caller_leave_the_others) {
  name_server s;
  system_with system(s, patient());
  resolver r = system.make();
  heddle::run([&] {
    auto other = heddle::spawn([&] { return find(r, "slow.test"); });
    await([&] { return s.asked("slow.test", aaaa) == 1; });
    BOOST_TEST((error_of(r, "slow.test", 10ms) == std::errc::timed_out));
    std::stop_source source;
    auto stopped = heddle::spawn([&] { return error_of(r, "slow.test", {60s, source.get_token()}); });
    heddle::this_fiber::sleep_for(10ms);
    source.request_stop();
    BOOST_TEST((stopped.join() == std::errc::operation_canceled));
    s.answer_slow();
    BOOST_TEST(other.join() == both);
  });
  BOOST_TEST(s.asked("slow.test", a) == 1u);
}

BOOST_AUTO_TEST_CASE(questions_without_callers_are_broken_off) {
  for (const unsigned procs : {1u, 2u}) {
    name_server s;
    system_with system(s, patient());
    resolver r = system.make();
    // Ends though the server never answers, and leaves nothing open.
    heddle::run(
        [&] {
          for (std::size_t i = 1; i <= 3; ++i) {
            BOOST_TEST((error_of(r, "silent.test", 20ms) == std::errc::timed_out));
            // It has begun, perhaps just now; nobody joins it.
            await([&] { return s.asked("silent.test", a) <= i; });
          }
          std::stop_source source;
          auto stopped = heddle::spawn([&] { return error_of(r, "silent.test", source.get_token()); });
          const std::size_t so_far = s.asked("silent.test", aaaa);
          await([&] { return s.asked("silent.test", aaaa) > so_far; });
          source.request_stop();
          BOOST_TEST((stopped.join() == std::errc::operation_canceled));
          BOOST_TEST(find(r, "host.test") == both);
        },
        {.procs = procs});
  }
}

BOOST_AUTO_TEST_CASE(questions_that_wait_for_their_turn_are_broken_off_too) {
  name_server s;
  system_with system(s, patient());
  resolver r = system.make();
  heddle::run([&] {
    std::stop_source source;
    std::vector<heddle::join_handle<std::error_code>> all;
    for (int i = 0; i < 300; ++i)
      all.push_back(
          heddle::spawn([&, i] { return error_of(r, "silent.nr" + std::to_string(i) + ".test", source.get_token()); }));
    await([&] { return s.names() > 0; });
    source.request_stop();
    for (auto& f : all) expect(f.join() == std::errc::operation_canceled);
    BOOST_TEST(s.names() <= 128u);
    BOOST_TEST(find(r, "host.test") == both);
  });
}

BOOST_AUTO_TEST_CASE(addresses_and_hosts_are_not_asked_for) {
  name_server s;
  system_with system(s);
  system.folder.write("hosts", "192.0.2.77 known.test\n");
  resolver r = system.make();
  heddle::run([&] {
    BOOST_TEST(find(r, "192.0.2.7", "http") == "192.0.2.7:80 ");
    BOOST_TEST(find(r, "::1") == "[::1]:80 ");
    BOOST_TEST(find(r, "known.test", "http") == "192.0.2.77:80 ");
    BOOST_TEST(find(r, "localhost", "http") == "127.0.0.1:80 [::1]:80 ");
    BOOST_TEST(system.system_calls == 0);
    BOOST_TEST(find(r, "127.1") == "127.0.0.1:1 ");
    BOOST_TEST(system.system_calls == 1);
  });
  BOOST_TEST(s.asked("known.test", a) == 0u);
  BOOST_TEST(s.asked("127.1", a) == 0u);
}

BOOST_AUTO_TEST_CASE(the_configuration_may_change) {
  name_server first, second("127.0.0.2", first.port(), 2);
  system_with system(first);
  resolver r = system.make();
  heddle::run([&] {
    BOOST_TEST(find(r, "host.test") == both);
    system.folder.write("resolv.conf", "nameserver 127.0.0.2\n");
    BOOST_TEST(find(r, "host.test") == "192.0.2.2:80 [2001:db8::2]:80 ");
  });
  BOOST_TEST(system.system_calls == 0);
}

BOOST_AUTO_TEST_CASE(other_sources_of_hosts_are_left_to_the_system) {
  name_server s;
  system_with system(s);
  resolver r = system.make();
  const std::string by_system = "203.0.113.1:1 ";
  heddle::run([&] {
    for (const char* others :
         {"hosts: files mdns4_minimal [NOTFOUND=return] dns", "hosts: files myhostname dns", "hosts:files resolve dns",
          "hosts: files", "passwd: files\nhosts: db files dns\n", "hosts: files [NOTFOUND=return] dns"}) {
      system.folder.write("nsswitch.conf", others);
      BOOST_TEST(find(r, "host.test") == by_system, others);
    }
    for (const char* ours : {"hosts: files dns", "  hosts :\tdns files # mdns", "# hosts: nis\npasswd: nis\n", "",
                             "hosts:\n", "hosts: dns"}) {
      system.folder.write("nsswitch.conf", ours);
      BOOST_TEST(find(r, "host.test") == both, ours);
    }
  });
  BOOST_TEST(system.system_calls == 6);
}

BOOST_AUTO_TEST_CASE(plain_threads_ask_too) {
  name_server s;
  system_with system(s);
  {
    resolver r = system.make();
    BOOST_TEST(find(r, "host.test") == both);
    BOOST_TEST(find(r, "host.test", "http") == both);
    BOOST_TEST((error_of(r, "silent.test", 10ms) == std::errc::timed_out));
  }
  heddle::shutdown();
}

// In a forked child ThreadSanitizer has threads of its own that look like the program's.
BOOST_AUTO_TEST_CASE(children_ask_for_themselves, *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  name_server s;
  system_with system(s, patient());
  resolver r = system.make();
  heddle::run([&] {
    auto waits = heddle::spawn([&] { return find(r, "slow.test"); });
    await([&] { return s.asked("slow.test", aaaa) == 1; });
    heddle::testing::death child;
    heddle::blocking([&] {
      std::thread([&] {
        child = death_of([&] {
          resolver own = system.make();
          heddle::run([&] { ::_exit(find(own, "host.test") == both ? 7 : 1); });
        });
      }).join();
    });
    BOOST_TEST(child.status == 7);
    s.answer_slow();
    BOOST_TEST(waits.join() == both);
  });
}

BOOST_AUTO_TEST_SUITE_END()
