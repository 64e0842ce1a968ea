// SPDX-License-Identifier: BSL-1.0
#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "crowd.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace libraries_test;

struct finish {
  void operator()(CURL* c) const { curl_easy_cleanup(c); }
};
using transfer = std::unique_ptr<CURL, finish>;

struct library {
  library() { BOOST_TEST_REQUIRE(curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK); }
  ~library() { curl_global_cleanup(); }
};
BOOST_TEST_GLOBAL_FIXTURE(library);

std::size_t count(char*, std::size_t size, std::size_t n, void* sum) {
  *static_cast<std::size_t*>(sum) += size * n;
  return size * n;
}
/// The bytes of /n, or 0.
std::size_t get(const transfer& c, int n) {
  std::size_t sum = 0;
  const std::string url = server() + "/" + std::to_string(n);
  curl_easy_setopt(c.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(c.get(), CURLOPT_WRITEFUNCTION, count);
  curl_easy_setopt(c.get(), CURLOPT_WRITEDATA, &sum);
  curl_easy_setopt(c.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c.get(), CURLOPT_TIMEOUT, 60L);
  return curl_easy_perform(c.get()) == CURLE_OK ? sum : 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(libcurl, heddle::testing::leak_check)

// The server answers after 50 ms.
BOOST_AUTO_TEST_CASE(transfers_of_many_fibers) {
  crowd all;
  std::atomic<int> now{0}, most{0};
  all.run(
      [&](int i) {
        const transfer c(curl_easy_init());
        all.arrive();
        const int others = ++now;
        for (int m = most; m < others && !most.compare_exchange_weak(m, others);) {
        }
        all.expect(get(c, 1000 * i + 1) == static_cast<std::size_t>(1000 * i + 1), "a page");
        --now;
        all.expect(get(c, 7) == 7, "a page of the same connection");
      },
      [] {});
  BOOST_TEST(most > crowd::size / 4);
}

BOOST_AUTO_TEST_SUITE_END()
