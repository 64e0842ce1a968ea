// SPDX-License-Identifier: BSL-1.0
//
// A database in a file: whoever finds it locked sleeps and looks again. The holder of the lock needs the processor.
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "crowd.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace libraries_test;

struct finish {
  void operator()(sqlite3* c) const { sqlite3_close(c); }
};
using connection = std::unique_ptr<sqlite3, finish>;

connection open(const std::string& file) {
  sqlite3* c = nullptr;
  if (sqlite3_open(file.c_str(), &c) != SQLITE_OK) BOOST_TEST_MESSAGE(sqlite3_errmsg(c));
  sqlite3_busy_timeout(c, 60'000);
  return connection(c);
}
bool ask(const connection& c, const char* query, int (*row)(void*, int, char**, char**) = nullptr, void* to = nullptr) {
  return sqlite3_exec(c.get(), query, row, to, nullptr) == SQLITE_OK;
}

struct temporary_folder {
  temporary_folder() {
    char name[] = "/tmp/heddle-sqlite.XXXXXX";
    BOOST_TEST_REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~temporary_folder() { std::filesystem::remove_all(path); }
  std::string path;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(libsqlite3, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(transactions_of_many_fibers) {
  const temporary_folder folder;
  const std::string file = folder.path + "/numbers";
  const connection gate = open(file);
  BOOST_TEST(ask(gate, "pragma synchronous=off; create table numbers(n int); begin immediate"));
  crowd all;
  all.run(
      [&](int) {
        const connection c = open(file);
        all.arrive();
        all.expect(ask(c, "pragma synchronous=off"), "synchronous");
        all.expect(ask(c, "begin immediate"), "begin");
        all.expect(ask(c, "insert into numbers select count(*) from numbers"), "insert");
        heddle::this_fiber::yield();  // the others are to find it locked
        all.expect(ask(c, "commit"), "commit");
      },
      [&] { BOOST_TEST(ask(gate, "commit")); });
  int sum = 0;
  const auto add = [](void* to, int, char** fields, char**) {
    *static_cast<int*>(to) += std::atoi(fields[0]);
    return 0;
  };
  BOOST_TEST(ask(gate, "select n from numbers", add, &sum));
  BOOST_TEST(sum == crowd::size * (crowd::size - 1) / 2);  // each has seen all before it
}

BOOST_AUTO_TEST_SUITE_END()
