// SPDX-License-Identifier: BSL-1.0
#include <mysql.h>

#include <memory>

#include "crowd.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace libraries_test;

struct finish {
  void operator()(MYSQL* c) const { mysql_close(c); }
  void operator()(MYSQL_RES* r) const { mysql_free_result(r); }
};
using connection = std::unique_ptr<MYSQL, finish>;

connection connect() {
  connection c(mysql_init(nullptr));
  if (c != nullptr && mysql_real_connect(c.get(), nullptr, "root", "", nullptr, 0, server().c_str(), 0) == nullptr)
    c.reset();
  return c;
}
/// The first field of the first row, or "error".
std::string ask(const connection& c, const std::string& query) {
  if (mysql_real_query(c.get(), query.data(), query.size()) != 0) return "error";
  const std::unique_ptr<MYSQL_RES, finish> r(mysql_store_result(c.get()));
  if (r == nullptr) return {};
  const MYSQL_ROW row = mysql_fetch_row(r.get());
  return row != nullptr && row[0] != nullptr ? std::string(row[0], mysql_fetch_lengths(r.get())[0]) : std::string();
}

/// Once for the program, with what the library keeps until its end.
struct library {
  library() { BOOST_TEST_REQUIRE(mysql_library_init(0, nullptr, nullptr) == 0); }
  ~library() { mysql_library_end(); }
};
BOOST_TEST_GLOBAL_FIXTURE(library);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(libmariadb, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(queries_of_many_fibers) {
  const connection gate = connect();
  BOOST_TEST_REQUIRE(gate != nullptr, "no connection");
  BOOST_TEST(ask(gate, "create database heddle").empty());
  BOOST_TEST(ask(gate, "create table heddle.numbers(n int) engine=memory").empty());
  BOOST_TEST(ask(gate, "select get_lock('gate', 0)") == "1");
  crowd all;
  all.run(
      [&](int i) {
        const connection c = connect();
        all.expect(c != nullptr, "no connection");
        if (c == nullptr) return all.arrive();
        const std::string n = std::to_string(i);
        all.expect(ask(c, "insert into heddle.numbers values (" + n + ")").empty(), "insert");
        all.arrive();
        all.expect(ask(c, "select get_lock('gate', 60)") == "1", "the gate");
        all.expect(ask(c, "select release_lock('gate')") == "1", "the gate");
        all.expect(ask(c, "select n from heddle.numbers where n = " + n) == n, "select");
        all.expect(ask(c, "select repeat('x', 100000)") == std::string(100'000, 'x'), "many bytes");
        all.expect(ask(c, "select nonsense") == "error", "a wrong query");
      },
      [&] { BOOST_TEST(ask(gate, "select release_lock('gate')") == "1"); });
  BOOST_TEST(ask(gate, "select sum(n) from heddle.numbers") == std::to_string(crowd::size * (crowd::size - 1) / 2));
}

BOOST_AUTO_TEST_SUITE_END()
