// SPDX-License-Identifier: BSL-1.0
//
// The crawler on a site of 300 pages that Python serves, and on one that looks at how it is visited.
#include "crawler.hpp"

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "heddle/heddle.hpp"
#include "heddle/net/serve.hpp"
#include "server_process.hpp"
#include "settled.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using examples::crawler;
using heddle::net::endpoint;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;

using settled_network = heddle::testing::settled_network<512>;

std::string link(const std::string& to) { return "<a href=\"" + to + "\">" + to + "</a>\n"; }

constexpr int pages = 300;

/// Pages in three folders. Each links to the next two, to itself, to the first and to other servers; some to a page
/// that is not there.
void make_site(const std::filesystem::path& folder) {
  for (const char* const f : {"a", "b", "c"}) std::filesystem::create_directory(folder / f);
  const auto name = [](int i) {
    return std::string(1, static_cast<char>('a' + i % 3)) + "/" + std::to_string(i) + ".html";
  };
  for (int i = 0; i != pages; ++i) {
    std::ofstream page(folder / name(i));
    for (const int next : {i + 1, i + 2})
      if (next < pages) page << link("../" + name(next));
    page << link("#here") << link("../a/0.html") << link("/a/./0.html") << link("https://elsewhere.example/");
    if (i % 100 == 50) page << link("no" + std::to_string(i) + ".html");
  }
}

/// How often each path was asked for, as Python's server tells: "... "GET /a/0.html HTTP/1.0" 200 -".
std::map<std::string, int> asked_for(const std::filesystem::path& log) {
  std::map<std::string, int> paths;
  std::ifstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find("\"GET ");
    if (at != std::string::npos) ++paths[line.substr(at + 5, line.find(' ', at + 5) - at - 5)];
  }
  return paths;
}

/// A site whose pages are made when they are asked for.
struct made_site {
  template <class Handler>
  explicit made_site(Handler h)
      : serving(heddle::spawn([this, h] {
          heddle::net::serve(
              listener,
              [&](tcp_stream& s) {
                std::string asked(4, '\0');
                s.read(std::as_writable_bytes(std::span(asked)));
                for (std::array<std::byte, 1> b; asked.find("\r\n\r\n") == std::string::npos;) {
                  s.read(b);
                  asked += static_cast<char>(b[0]);
                }
                s.write("HTTP/1.0 200 OK\r\n\r\n" + h(asked.substr(4, asked.find(' ', 4) - 4)));
              },
              stop.get_token());
        })) {}
  ~made_site() { stop.request_stop(); }

  tcp_listener listener = tcp_listener::listen(endpoint::loopback_v4(0));
  std::stop_source stop;
  heddle::join_handle<void> serving;
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(settled_network);

BOOST_FIXTURE_TEST_SUITE(crawler_example, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(links_lead_where_browsers_go) {
  using examples::resolve_link;
  BOOST_TEST(*resolve_link("/a/b.html", "c.html") == "/a/c.html");
  BOOST_TEST(*resolve_link("/a/b.html", "../c.html#part") == "/c.html");
  BOOST_TEST(*resolve_link("/a/b.html", "../../../c") == "/c");
  BOOST_TEST(*resolve_link("/a/b.html", "/x/./y/../z") == "/x/z");
  BOOST_TEST(*resolve_link("/a/b.html", "") == "/a/b.html");
  BOOST_TEST(*resolve_link("/a/b.html", "..") == "/");
  BOOST_TEST(!resolve_link("/a/b.html", "http://other/"));
  BOOST_TEST(!resolve_link("/a/b.html", "//other/"));
  BOOST_TEST(!resolve_link("/a/b.html", "mailto:a@b"));
}

BOOST_AUTO_TEST_CASE(each_page_once_and_the_dead_links) {
  const heddle::testing::temporary_folder folder;
  const std::filesystem::path site = folder.path() / "site", log = folder.path() / "log";
  std::filesystem::create_directory(site);
  make_site(site);
  const endpoint where = endpoint::loopback_v4(heddle::testing::free_port());
  const heddle::testing::process server({"python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory",
                                         site.string(), std::to_string(where.port())},
                                        log);
  heddle::run([&] {
    BOOST_TEST_REQUIRE(heddle::testing::listens(where));
    const crawler::report r = crawler(where.to_string()).crawl("/a/0.html");
    BOOST_TEST(r.complete);
    BOOST_TEST(r.pages.size() == static_cast<std::size_t>(pages));
    BOOST_TEST(r.pages.at("/c/299.html") == std::filesystem::file_size(site / "c/299.html"));
    BOOST_TEST(r.dead.size() == 3u);
    BOOST_TEST(r.dead.at("/c/no50.html").why == "404");
    BOOST_TEST(r.dead.at("/c/no50.html").from == "/c/50.html");
    BOOST_TEST(r.dead.at("/a/no150.html").from == "/a/150.html");
  });
  const std::map<std::string, int> asked = asked_for(log);
  BOOST_TEST(asked.size() == static_cast<std::size_t>(pages + 3));
  for (const auto& [path, times] : asked) BOOST_TEST(times == 1, path);
}

// A site without an end.
BOOST_AUTO_TEST_CASE(no_more_at_once_and_in_all_than_allowed) {
  heddle::run([] {
    std::atomic<int> now{0}, most{0}, all{0};
    const made_site site([&](const std::string& path) {
      const int n = ++now;
      for (int seen = most; seen < n && !most.compare_exchange_weak(seen, n);) {
      }
      ++all;
      heddle::this_fiber::sleep_for(1ms);
      --now;
      return link(path + "1") + link(path + "2") + link(path + "3");
    });
    const auto r = crawler(site.listener.name(), {.most_at_once = 7, .most_pages = 100}).crawl("/");
    BOOST_TEST(!r.complete);
    BOOST_TEST(r.pages.size() == 100u);
    BOOST_TEST(all == 100);
    BOOST_TEST(most <= 7);
    BOOST_TEST(most > 1);
  });
}

BOOST_AUTO_TEST_CASE(a_stop_ends_it) {
  heddle::run([] {
    std::stop_source stop;
    const made_site site([&](const std::string& path) {
      if (path.size() == 4) stop.request_stop();
      return link(path + "1") + link(path + "2");
    });
    const auto r = crawler(site.listener.name()).crawl("/", stop.get_token());
    BOOST_TEST(!r.complete);
    BOOST_TEST(r.dead.empty());
  });
}

BOOST_AUTO_TEST_CASE(a_server_that_is_not_there_is_a_dead_link) {
  heddle::run([] {
    const std::string where = endpoint::loopback_v4(heddle::testing::free_port()).to_string();
    const auto r = crawler(where).crawl("/");
    BOOST_TEST(r.pages.empty());
    BOOST_TEST(r.dead.at("/").why.find("Connection refused") != std::string::npos);
  });
}

BOOST_AUTO_TEST_SUITE_END()
