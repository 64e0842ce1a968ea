// SPDX-License-Identifier: BSL-1.0
//
// crawler SERVER [PATH]: visits what links lead to on SERVER, such as localhost:8000, and prints the dead ones. Exit
// status 1 if there are any. SIGINT ends it early.
#include "crawler.hpp"

#include <cstdio>
#include <exception>

#include "heddle/run.hpp"
#include "until_signalled.hpp"

int main(int n, char** words) {
  if (n != 2 && n != 3) {
    std::fprintf(stderr, "Usage: %s SERVER [PATH]\n", words[0]);
    return 2;
  }
  try {
    examples::signal_channel asked({SIGINT});
    return heddle::run([&] {
      const examples::until_signalled over(asked);
      const auto found = examples::crawler(words[1]).crawl(n == 3 ? words[2] : "/", over.token());
      for (const auto& [path, link] : found.dead)
        std::printf("%s: %s (from %s)\n", path.c_str(), link.why.c_str(), link.from.c_str());
      std::printf("%zu pages, %zu dead links%s\n", found.pages.size(), found.dead.size(),
                  found.complete ? "" : ", not all were visited");
      return found.dead.empty() ? 0 : 1;
    });
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", words[0], e.what());
    return 2;
  }
}
