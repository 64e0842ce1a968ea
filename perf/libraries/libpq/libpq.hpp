// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/arguments.hpp"

namespace perf::libraries {

/// A connection to PostgreSQL, whose queries take a millisecond there.
class libpq {
 public:
  explicit libpq(const std::string& folder)
      : connection_(PQconnectdb(
            ("host=" + folder + " user=heddle dbname=postgres sslmode=disable gssencmode=disable").c_str())) {
    require(PQstatus(connection_.get()) == CONNECTION_OK, PQerrorMessage(connection_.get()));
  }
  void ask() {
    const std::unique_ptr<PGresult, finish> answer(PQexec(connection_.get(), "select 7 from pg_sleep(0.001)"));
    require(PQresultStatus(answer.get()) == PGRES_TUPLES_OK && PQntuples(answer.get()) == 1, "no row");
    require(std::string_view(PQgetvalue(answer.get(), 0, 0)) == "7", "another row");
  }

 private:
  struct finish {
    void operator()(PGconn* c) const { PQfinish(c); }
    void operator()(PGresult* r) const { PQclear(r); }
  };
  std::unique_ptr<PGconn, finish> connection_;
};

}  // namespace perf::libraries
