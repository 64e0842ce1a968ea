// SPDX-License-Identifier: BSL-1.0
//
// The example that serves a directory, asked by curl.
#include <boost/test/unit_test.hpp>
#include <string>

#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"
#include "net/tls/program.hpp"
#include "net/tls/secured.hpp"
#include "support/leak_check.hpp"

BOOST_FIXTURE_TEST_SUITE(https, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(files_are_served) {
  heddle::run([] {
    const heddle::testing::temporary_folder f;
    const heddle::testing::issued own = secured::usual().root.issue();
    f.write("root", secured::usual().root.root_text());
    f.write("chain", own.chain);
    f.write("key", own.key);
    std::string large;
    for (int i = 0; large.size() < 1'000'000; ++i) large += std::to_string(i) + "\n";
    f.write("large", large);
    f.write("small", "hello");

    heddle::testing::program server({FILE_SERVER, f.path(""), "0", f.path("chain"), f.path("key")});
    const std::string where = server.line();
    BOOST_TEST_REQUIRE(where.starts_with("https://127.0.0.1:"), "it said '" << where << "'");
    const auto get = [&](const std::vector<std::string>& more) {
      std::vector<std::string> words{"curl", "--silent", "--show-error", "--max-time",
                                     "50",   "--cacert", f.path("root")};
      words.insert(words.end(), more.begin(), more.end());
      heddle::testing::program curl(words);
      const std::string got = curl.rest();
      BOOST_TEST(curl.wait() == 0);
      return got;
    };
    BOOST_TEST((get({where + "large"}) == large));
    BOOST_TEST(get({"--range", "5-9", where + "large"}) == large.substr(5, 5));
    // One connection for both, by the protocol that was agreed on.
    BOOST_TEST(get({"--write-out", " %{http_version} %{num_connects}\n", where + "small", where + "small"}) ==
               "hello 1.1 1\nhello 1.1 0\n");
  });
}

BOOST_AUTO_TEST_SUITE_END()
