// SPDX-License-Identifier: BSL-1.0
//
// SHA-256 of every regular file under some directories, as fibers: walkers find the files, hashers read and
// hash them, and everything that may block in the kernel runs in heddle::blocking. Both kinds meet at two
// bounded channels, so memory and open files stay bounded whatever the size of the tree.
#include <heddle/heddle.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/digest/command_line.hpp"
#include "common/digest/file_hasher.hpp"

namespace {

using namespace perf::digest;

struct in_heddle_blocking {
  template <class F>
  auto operator()(F&& f) const {
    return heddle::blocking(std::forward<F>(f));
  }
};

class digest {
 public:
  explicit digest(complaints& failed) : failed_(failed) {}

  void run(const std::vector<std::string>& roots) {
    std::vector<heddle::join_handle<void>> walkers;
    std::vector<heddle::join_handle<std::vector<entry>>> hashers;
    for (unsigned i = 0; i < 2 * heddle::processors(); ++i) {
      walkers.push_back(heddle::spawn([this] { walk(); }));
      hashers.push_back(heddle::spawn([this] { return hash(); }));
    }
    for (const std::string& root : roots) {
      look_at_root(
          root, failed_,
          [this](std::string path) {
            unread_.add();
            directories_.send(std::move(path));
          },
          [this](batch files) { batches_.send(std::move(files)); });
    }
    unread_.wait();
    directories_.close();
    for (auto& walker : walkers) walker.join();
    batches_.close();
    std::vector<std::vector<entry>> lists;
    for (auto& hasher : hashers) lists.push_back(hasher.join());
    print_merged(std::move(lists));
  }

 private:
  // A directory found goes to whoever is free to read it. When the channel is full, everybody has enough to
  // do, and the walker keeps it for itself: no walker ever waits for another one.
  void walk() {
    lister list(in_heddle_blocking{}, failed_);
    for (std::string path : directories_) {
      std::vector<std::string> mine{std::move(path)};
      while (!mine.empty()) {
        const std::string next = std::move(mine.back());
        mine.pop_back();
        list.list(
            next,
            [&](std::string found) {
              unread_.add();
              if (!directories_.try_send(found)) mine.push_back(std::move(found));
            },
            [&](batch files) { batches_.send(std::move(files)); });
        unread_.done();
      }
    }
  }

  std::vector<entry> hash() {
    file_hasher hasher(in_heddle_blocking{}, failed_);
    for (const batch& files : batches_) hasher.hash(files);
    return std::move(hasher).sorted();
  }

  complaints& failed_;
  heddle::wait_group unread_;  // directories found and not yet read
  heddle::channel<std::string> directories_{64};
  heddle::channel<batch> batches_{64};
};

}  // namespace

int main(int argc, char** argv) {
  const command_line given(argc, argv);
  complaints failed(argv[0]);
  heddle::run([&] { digest(failed).run(given.roots); }, {.procs = given.procs});
  return failed.exit_status();
}
