// SPDX-License-Identifier: BSL-1.0
#include <libpq-fe.h>

#include <memory>

#include "crowd.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace libraries_test;

struct finish {
  void operator()(PGconn* c) const { PQfinish(c); }
  void operator()(PGresult* r) const { PQclear(r); }
};
using connection = std::unique_ptr<PGconn, finish>;

connection connect() {
  const std::string where = "host=" + server() + " user=heddle dbname=postgres connect_timeout=30";
  return connection(PQconnectdb(where.c_str()));
}
/// The first field of the first row, or "error".
std::string ask(const connection& c, const std::string& query) {
  const std::unique_ptr<PGresult, finish> r(PQexec(c.get(), query.c_str()));
  switch (PQresultStatus(r.get())) {
    case PGRES_COMMAND_OK: return {};
    case PGRES_TUPLES_OK: return PQntuples(r.get()) != 0 ? PQgetvalue(r.get(), 0, 0) : "";
    default: return "error";
  }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(libpq, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(queries_of_many_fibers) {
  const connection gate = connect();
  BOOST_TEST_REQUIRE(PQstatus(gate.get()) == CONNECTION_OK, PQerrorMessage(gate.get()));
  BOOST_TEST(ask(gate, "create table numbers(n int)").empty());
  BOOST_TEST(ask(gate, "select pg_advisory_lock(1)").empty());
  crowd all;
  all.run(
      [&](int i) {
        const connection c = connect();
        all.expect(PQstatus(c.get()) == CONNECTION_OK, "no connection");
        const std::string n = std::to_string(i);
        all.expect(ask(c, "insert into numbers values (" + n + ")").empty(), "insert");
        all.arrive();
        all.expect(ask(c, "select pg_advisory_lock_shared(1)").empty(), "the gate");
        all.expect(ask(c, "select n from numbers where n = " + n) == n, "select");
        all.expect(ask(c, "select repeat('x', 100000)") == std::string(100'000, 'x'), "many bytes");
        all.expect(ask(c, "select nonsense") == "error", "a wrong query");
      },
      [&] { BOOST_TEST(ask(gate, "select pg_advisory_unlock(1)") == "t"); });
  BOOST_TEST(ask(gate, "select sum(n) from numbers") == std::to_string(crowd::size * (crowd::size - 1) / 2));
}

BOOST_AUTO_TEST_SUITE_END()
