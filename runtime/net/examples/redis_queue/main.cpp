// SPDX-License-Identifier: BSL-1.0
//
// redis_queue SERVER NAME add KEY...: adds keys to the queue of that name.
// redis_queue SERVER NAME work MILLISECONDS LEASE: four workers; each takes so long for a key, prints it and which
// attempt it was, and then it is done. LEASE, in milliseconds, is the time after which the keys of a dead process come
// again. Ends by SIGINT or SIGTERM.
#include "redis_queue.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "heddle/group.hpp"
#include "heddle/run.hpp"
#include "until_signalled.hpp"

namespace {

int add(const std::string& server, const std::string& name, char** keys, int n) {
  examples::redis_queue queue(server, name);
  for (int i = 0; i != n; ++i) queue.add(keys[i]);
  return 0;
}

int work(const std::string& server, const std::string& name, long time, long lease, examples::signal_channel& asked) {
  examples::redis_queue queue(server, name, std::chrono::milliseconds(lease));
  const examples::until_signalled over(asked);
  const std::stop_token stop = over.token();
  heddle::group workers;
  for (int i = 0; i != 4; ++i)
    workers.spawn([&] {
      while (auto item = queue.get(stop)) {
        heddle::this_fiber::sleep_for(std::chrono::milliseconds(time));
        // One call, so that lines of several processes do not mix.
        const std::string line = *item + ' ' + std::to_string(item.attempts()) + '\n';
        if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) throw std::runtime_error("cannot write");
      }
    });
  workers.wait();
  return 0;
}

}  // namespace

int main(int n, char** words) {
  const std::string_view what = n > 3 ? words[3] : "";
  if (!(what == "add" && n > 4) && !(what == "work" && n == 6)) {
    std::fprintf(stderr, "Usage: %s SERVER NAME add KEY... | work MILLISECONDS LEASE\n", words[0]);
    return 2;
  }
  try {
    examples::signal_channel asked({SIGINT, SIGTERM});
    return heddle::run([&] {
      if (what == "add") return add(words[1], words[2], words + 4, n - 4);
      return work(words[1], words[2], std::atol(words[4]), std::atol(words[5]), asked);
    });
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", words[0], e.what());
    return 1;
  }
}
