// SPDX-License-Identifier: BSL-1.0
#include "graph_store.hpp"

#include <boost/test/unit_test.hpp>
#include <cstddef>

#include "gc/dying.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "support/crew.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::expect;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(graph_store, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(edges_come_and_go) {
  const auto g = gc::make<examples::graph_store>();
  BOOST_TEST(g->reachable(1, 100) == 1u);
  BOOST_TEST((g->connect(1, 2) && g->connect(2, 3) && g->connect(3, 1) && !g->connect(1, 2)));
  BOOST_TEST((g->reachable(1, 100) == 3 && g->reachable(1, 2) == 2));
  BOOST_TEST((g->disconnect(2, 3) && !g->disconnect(2, 3)));
  BOOST_TEST(g->reachable(1, 100) == 2u);
  BOOST_TEST((g->forget(2) && !g->forget(2)));
  BOOST_TEST(g->reachable(1, 100) == 2u);  // the edge leads to it still
}

BOOST_AUTO_TEST_CASE(a_thousand_fibers) {
  constexpr unsigned fibers = 1000, ring = 64;
  const auto g = gc::make<examples::graph_store>();
  for (unsigned i = 0; i < ring; ++i) g->connect(i, (i + 1) % ring);
  heddle::run([&] {
    heddle::wait_group all;
    all.add(fibers);
    for (unsigned who = 0; who < fibers; ++who)
      heddle::go([&, who] {
        for (unsigned i = 0; i < 5; ++i) {
          const unsigned from = (who * 7 + i) % ring, to = (who * 13 + i * 5) % ring;
          expect(g->reachable(from, 10 * ring) >= ring);  // the ring stays
          if (to != (from + 1) % ring && g->connect(from, to)) g->disconnect(from, to);
          g->connect(from, ring + who);
          expect(g->forget(ring + who));
          g->disconnect(from, ring + who);
          if (who % 250 == 0) gc::collect();
          heddle::this_fiber::yield();
        }
        all.done();
      });
    all.wait();
  });
  BOOST_TEST(g->reachable(0, 10 * ring) == ring);
}

BOOST_AUTO_TEST_SUITE_END()
