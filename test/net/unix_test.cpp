// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/unix.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stop_token>

#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::io::owned_descriptor;
using heddle::net::unix_endpoint;
using heddle::net::unix_listener;
using heddle::net::unix_stream;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::temporary_folder;
using heddle::testing::with_crew;

std::string read_all(unix_stream& s) {
  std::string text;
  std::array<std::byte, 64> part;
  while (const std::size_t n = s.read_some(part, 60s)) text.append(reinterpret_cast<const char*>(part.data()), n);
  return text;
}

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Both ends of a pipe: what is sent here.
struct pipe_ends {
  pipe_ends() {
    std::array<int, 2> ends{};
    BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  /// Whether nobody has the other end any more, and nothing has been written.
  bool has_ended() const {
    char c = 0;
    return ::read(read.get(), &c, 1) == 0;
  }
  owned_descriptor read, write;
};

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// Binds a socket to the path and goes without removing the file.
void leave_stale_file(const std::string& path) {
  unix_listener::listen(unix_endpoint(path), {.keep_file = true});
  BOOST_REQUIRE(exists(path));
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(unix_sockets, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(addresses) {
  BOOST_TEST(unix_endpoint().is_unnamed());
  BOOST_TEST(unix_endpoint().to_string() == "an unnamed socket");
  const unix_endpoint path("/run/app");
  BOOST_TEST((!path.is_unnamed() && !path.is_abstract()));
  BOOST_TEST(path.to_string() == "/run/app");
  BOOST_TEST(path.name() == "/run/app");
  const unix_endpoint name = unix_endpoint::abstract(std::string_view("a\0b", 3));
  BOOST_TEST((!name.is_unnamed() && name.is_abstract()));
  BOOST_TEST((name.name() == std::string_view("a\0b", 3)));
  BOOST_TEST(unix_endpoint::abstract("app").to_string() == "@app");
  BOOST_TEST((unix_endpoint("app") == unix_endpoint("app") && unix_endpoint("app") != unix_endpoint("apps")));
  BOOST_TEST((unix_endpoint("app") != unix_endpoint::abstract("app")));
}

BOOST_AUTO_TEST_CASE(addresses_have_limits) {
  const std::string most(107, 'x');
  BOOST_TEST(unix_endpoint(most).name() == most);
  BOOST_TEST(unix_endpoint::abstract(most).name() == most);
  const auto says = [](const std::string& words) {
    return [words](const std::invalid_argument& e) { return std::string(e.what()).find(words) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(unix_endpoint(most + 'x'), std::invalid_argument,
                        says("the path has 108 bytes, and the system takes 107: \"xxx"));
  BOOST_CHECK_EXCEPTION(unix_endpoint::abstract(most + 'x'), std::invalid_argument,
                        says("the abstract name has 108 bytes"));
  BOOST_CHECK_EXCEPTION(unix_endpoint(""), std::invalid_argument, says("the path is empty"));
  BOOST_CHECK_EXCEPTION(unix_endpoint(std::string_view("a\0b", 3)), std::invalid_argument, says("zero byte: \"a\""));
}

BOOST_AUTO_TEST_CASE(connects) {
  const temporary_folder folder;
  const std::string longest = folder.path(std::string(107 - folder.path("").size(), 'l'));
  for (const unix_endpoint& on : {unix_endpoint(folder.path("s")), unix_endpoint(longest),
                                  unix_endpoint::abstract(folder.path("s")), unix_endpoint::abstract(longest)})
    for (const auto& setting : all_settings) {
      unix_listener l = unix_listener::listen(on);
      BOOST_TEST((l.local_endpoint() == on));
      with_crew(setting, [&](crew& c) {
        for (int i = 0; i < 4; ++i) {
          c.start([&] {
            unix_stream s = unix_stream::connect(on, 60s);
            s.write("question");
            s.shutdown_write();
            expect(read_all(s) == "answer to question");
          });
          c.start([&] {
            unix_stream s = l.accept(60s);
            s.write("answer to " + read_all(s));
          });
        }
        c.join();
      });
    }
}

BOOST_AUTO_TEST_CASE(errors_name_the_address) {
  const temporary_folder folder;
  const unix_endpoint nobody(folder.path("nobody"));
  const auto text = [](auto f) -> std::string {
    try {
      f();
    } catch (const heddle::io::error& e) {
      return e.what();
    }
    return "no exception";
  };
  BOOST_TEST(text([&] { unix_stream::connect(nobody); }) ==
             "connect to " + nobody.to_string() + ": No such file or directory");
  leave_stale_file(folder.path("nobody"));
  BOOST_TEST(text([&] { unix_stream::connect(nobody); }) ==
             "connect to " + nobody.to_string() + ": Connection refused");
  const unix_endpoint nowhere(folder.path("no/where"));
  BOOST_TEST(text([&] { unix_listener::listen(nowhere); }) ==
             "listen on " + nowhere.to_string() + ": No such file or directory");
  unix_stream closed;
  BOOST_TEST(text([&] { closed.peer_credentials(); }) == "ask for the credentials of a closed stream: closed");
}

BOOST_AUTO_TEST_CASE(a_file_on_which_nobody_listens_is_replaced) {
  const temporary_folder folder;
  const unix_endpoint on(folder.path("s"));
  leave_stale_file(folder.path("s"));
  std::error_code ec;
  BOOST_TEST(!unix_listener::listen(on, {.replace = false}, ec).is_open());
  BOOST_TEST((ec == std::errc::address_in_use));
  const unix_listener l = unix_listener::listen(on);
  BOOST_TEST(unix_stream::connect(on).is_open());
}

BOOST_AUTO_TEST_CASE(all_other_files_stay) {
  const temporary_folder folder;
  const unix_endpoint on(folder.path("s"));
  std::error_code ec;
  {
    unix_listener l = unix_listener::listen(on);
    BOOST_TEST(!unix_listener::listen(on, {}, ec).is_open());
    BOOST_TEST((ec == std::errc::address_in_use));
    BOOST_TEST(unix_stream::connect(on).is_open());
  }
  folder.write("s", "text");
  BOOST_TEST(!unix_listener::listen(on, {}, ec).is_open());
  BOOST_TEST((ec == std::errc::address_in_use));
  BOOST_TEST(exists(folder.path("s")));
  const unix_endpoint name = unix_endpoint::abstract(folder.path("s"));
  const unix_listener l = unix_listener::listen(name);
  BOOST_TEST(!unix_listener::listen(name, {}, ec).is_open());
  BOOST_TEST((ec == std::errc::address_in_use));
}

BOOST_AUTO_TEST_CASE(a_full_queue_does_not_make_a_file_stale) {
  const temporary_folder folder;
  const unix_endpoint on(folder.path("s"));
  unix_listener l = unix_listener::listen(on, {.backlog = 0});
  const unix_stream first = unix_stream::connect(on);
  std::error_code ec;
  BOOST_TEST(!unix_listener::listen(on, {}, ec).is_open());
  BOOST_TEST((ec == std::errc::address_in_use));
  BOOST_TEST(l.accept(60s).is_open());
  BOOST_TEST(unix_stream::connect(on).is_open());
}

BOOST_AUTO_TEST_CASE(its_own_file_goes_with_it) {
  const temporary_folder folder;
  const std::string path = folder.path("s");
  {
    unix_listener l = unix_listener::listen(unix_endpoint(path));
    unix_listener moved = std::move(l);
    l.close();
    BOOST_TEST(exists(path));
    moved.close();
    BOOST_TEST(!exists(path));
    folder.write("s", "of another");
    moved.close();
  }
  BOOST_TEST(exists(path));
  ::unlink(path.c_str());
  {
    const unix_listener l = unix_listener::listen(unix_endpoint(path));
    ::unlink(path.c_str());
    folder.write("s", "of another");
  }
  BOOST_TEST(exists(path));
  ::unlink(path.c_str());
  unix_listener first = unix_listener::listen(unix_endpoint(path));
  first = unix_listener::listen(unix_endpoint(folder.path("t")));
  BOOST_TEST(!exists(path));
  BOOST_TEST(exists(folder.path("t")));
}

BOOST_AUTO_TEST_CASE(files_have_the_rights_that_are_asked_for) {
  const temporary_folder folder;
  const mode_t umask_before = ::umask(0);
  const unix_listener l = unix_listener::listen(unix_endpoint(folder.path("s")), {.mode = 0640});
  const unix_listener open = unix_listener::listen(unix_endpoint(folder.path("t")));
  ::umask(umask_before);
  struct ::stat file {};
  BOOST_TEST(::stat(folder.path("s").c_str(), &file) == 0);
  BOOST_TEST((file.st_mode & 0777) == 0640u);
  BOOST_TEST(::stat(folder.path("t").c_str(), &file) == 0);
  BOOST_TEST((file.st_mode & 0777) == 0777u);
}

BOOST_AUTO_TEST_CASE(connects_when_the_queue_has_room_again) {
  for (const auto& setting : all_settings) {
    const temporary_folder folder;
    const unix_endpoint on(folder.path("s"));
    with_crew(setting, [&](crew& c) {
      unix_listener l = unix_listener::listen(on, {.backlog = 0});
      const unix_stream first = unix_stream::connect(on);
      c.start([&] {
        std::error_code ec;
        expect(!unix_stream::connect(on, 20ms, ec) && ec == std::errc::timed_out);
        std::stop_source source;
        source.request_stop();
        expect(!unix_stream::connect(on, source.get_token(), ec) && ec == std::errc::operation_canceled);
      });
      c.join();
      c.start([&] { expect(unix_stream::connect(on, 60s).is_open()); });
      heddle::this_fiber::sleep_for(5ms);
      expect(l.accept(60s).is_open());
      expect(l.accept(60s).is_open());
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(accept_ends_by_its_limits_and_by_close) {
  for (const auto& setting : all_settings) {
    const temporary_folder folder;
    with_crew(setting, [&](crew& c) {
      unix_listener l = unix_listener::listen(unix_endpoint(folder.path("s")));
      std::atomic<bool> timed_out{false};
      c.start([&] {
        std::error_code ec;
        expect(!l.accept(5ms, ec) && ec == std::errc::timed_out);
        timed_out = true;
        expect(!l.accept(60s, ec) && ec == heddle::io::errc::closed);
      });
      while (!timed_out) heddle::this_fiber::sleep_for(1ms);
      heddle::this_fiber::sleep_for(2ms);
      l.close();
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(pairs) {
  heddle::run([] {
    auto [a, b] = unix_stream::pair();
    a.write("to b");
    b.write("to a");
    a.shutdown_write();
    b.shutdown_write();
    BOOST_TEST(read_all(a) == "to a");
    BOOST_TEST(read_all(b) == "to b");
  });
}

BOOST_AUTO_TEST_CASE(adopted_sockets_do_not_block) {
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  unix_stream a = unix_stream::adopt(ends[0]), b = unix_stream::adopt(ends[1]);
  std::array<std::byte, 1> one;
  std::error_code ec;
  a.read_some(one, 5ms, ec);
  BOOST_TEST((ec == std::errc::timed_out));
  BOOST_CHECK_THROW(unix_stream::adopt(-1), heddle::io::error);
}

BOOST_AUTO_TEST_CASE(descriptors_arrive) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      auto [a, b] = unix_stream::pair();
      pipe_ends sent;
      c.start([&, &from = a] {
        const std::array numbers = {sent.write.get(), sent.read.get()};
        expect(from.send(bytes("two"), numbers, 60s) == 3);
        sent.write.reset();
      });
      c.start([&, &to = b] {
        std::array<std::byte, 8> text;
        std::vector<owned_descriptor> got;
        expect(to.receive(text, got, 60s) == 3);
        expect(got.size() == 2);
        expect((::fcntl(got[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
        expect(::write(got[0].get(), "x", 1) == 1);
        char x = 0;
        expect(::read(got[1].get(), &x, 1) == 1 && x == 'x');
      });
      c.join();
      expect(sent.has_ended());
    });
  }
}

BOOST_AUTO_TEST_CASE(descriptors_of_two_calls_stay_apart) {
  heddle::run([] {
    auto [a, b] = unix_stream::pair();
    pipe_ends first, second;
    a.write("plain ");
    a.send(bytes("one "), std::array{first.write.get()});
    a.send(bytes("two"), std::array{second.write.get(), second.read.get()});
    std::array<std::byte, 64> text;
    std::vector<owned_descriptor> got;
    std::vector<std::size_t> counts;
    for (std::size_t left = 13; left != 0;) {
      const std::size_t n = b.receive(text, got, 60s);
      BOOST_TEST_REQUIRE(n != 0u);
      left -= n;
      counts.push_back(got.size());
    }
    BOOST_TEST((counts.front() <= 1 && counts.back() == 3));
  });
}

BOOST_AUTO_TEST_CASE(as_many_descriptors_as_the_system_takes) {
  heddle::run([] {
    auto [a, b] = unix_stream::pair();
    pipe_ends sent;
    const std::vector<int> most(unix_stream::most_descriptors, sent.write.get());
    std::array<std::byte, 8> text;
    std::vector<owned_descriptor> got;
    BOOST_TEST(a.send(bytes("x"), most) == 1u);
    BOOST_TEST(b.receive(text, got, 60s) == 1u);
    BOOST_TEST(got.size() == most.size());

    std::error_code ec;
    const std::vector<int> more(unix_stream::most_descriptors + 1, sent.write.get());
    BOOST_TEST(a.send(bytes("x"), more, {}, ec) == 0u);
    BOOST_TEST((ec == std::errc::argument_list_too_long));
    BOOST_TEST(a.send({}, most, {}, ec) == 0u);
    BOOST_TEST((ec == std::errc::invalid_argument));
    BOOST_TEST(a.send(bytes("x"), std::array{-1}, {}, ec) == 0u);
    BOOST_TEST((ec == std::errc::bad_file_descriptor));
    BOOST_TEST(a.send(bytes("plain"), {}) == 5u);
    got.clear();
    BOOST_TEST(b.receive(text, got, 60s) == 5u);  // and nothing of those that were refused
    BOOST_TEST(got.empty());
  });
}

BOOST_AUTO_TEST_CASE(a_process_without_room_is_told) {
  heddle::run([] {
    auto [a, b] = unix_stream::pair();
    pipe_ends sent;
    a.send(bytes("x"), std::vector<int>(100, sent.write.get()));
    sent.write.reset();
    rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    const int next = ::dup(0);
    ::close(next);
    const rlimit tight{static_cast<rlim_t>(next) + 10, usual.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &tight);
    std::array<std::byte, 8> text;
    std::vector<owned_descriptor> got;
    std::error_code ec;
    const std::size_t n = b.receive(text, got, 60s, ec);
    ::setrlimit(RLIMIT_NOFILE, &usual);
    BOOST_TEST(n == 1u);
    BOOST_TEST((ec == std::errc::too_many_files_open));
    BOOST_TEST((!got.empty() && got.size() <= 12u));
    BOOST_TEST(!sent.has_ended());
    got.clear();
    BOOST_TEST(sent.has_ended());
  });
}

BOOST_AUTO_TEST_CASE(receive_ends_as_a_read_does) {
  heddle::run([] {
    auto [a, b] = unix_stream::pair();
    std::array<std::byte, 8> text;
    std::vector<owned_descriptor> got;
    std::error_code ec;
    BOOST_TEST(b.receive(text, got, 5ms, ec) == 0u);
    BOOST_TEST((ec == std::errc::timed_out));
    a.close();
    BOOST_TEST(b.receive(text, got, 60s, ec) == 0u);
    BOOST_TEST(!ec);
    b.close();
    BOOST_TEST(b.receive(text, got, 60s, ec) == 0u);
    BOOST_TEST((ec == heddle::io::errc::closed));
    BOOST_TEST(a.send(bytes("x"), std::array{0}, {}, ec) == 0u);
    BOOST_TEST((ec == heddle::io::errc::closed));
  });
}

BOOST_AUTO_TEST_CASE(the_peer_is_known) {
  const temporary_folder folder;
  auto [a, b] = unix_stream::pair();
  const auto of_pair = a.peer_credentials();
  BOOST_TEST((of_pair.process == ::getpid() && of_pair.user == ::geteuid() && of_pair.group == ::getegid()));
  const unix_endpoint on(folder.path("s"));
  unix_listener l = unix_listener::listen(on);
  const unix_stream client = unix_stream::connect(on), server = l.accept(60s);
  BOOST_TEST(client.peer_credentials().process == ::getpid());
  BOOST_TEST(server.peer_credentials().user == ::geteuid());
}

BOOST_AUTO_TEST_SUITE_END()
