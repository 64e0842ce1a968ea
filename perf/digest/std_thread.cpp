// SPDX-License-Identifier: BSL-1.0
//
// SHA-256 of every regular file under some directories, by a pool of std::thread: the main thread walks, one
// thread per processor reads and hashes.
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/digest/command_line.hpp"
#include "common/digest/file_hasher.hpp"
#include "common/threads.hpp"

namespace {

using namespace perf::digest;

struct just_run {
  template <class F>
  auto operator()(F&& f) const {
    return std::forward<F>(f)();
  }
};

void walk(const std::vector<std::string>& roots, perf::thread_channel<batch>& batches, complaints& failed) {
  lister list(just_run{}, failed);
  std::vector<std::string> unread;
  const auto on_directory = [&](std::string path) { unread.push_back(std::move(path)); };
  const auto on_files = [&](batch files) { batches.send(std::move(files)); };
  for (const std::string& root : roots) {
    look_at_root(root, failed, on_directory, on_files);
    while (!unread.empty()) {
      const std::string next = std::move(unread.back());
      unread.pop_back();
      list.list(next, on_directory, on_files);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const command_line given(argc, argv);
  perf::use_processors(given.procs);
  complaints failed(argv[0]);
  perf::thread_channel<batch> batches(64);
  std::vector<std::vector<entry>> lists(given.procs);
  std::vector<std::thread> hashers;
  for (auto& list : lists) {
    hashers.emplace_back([&] {
      file_hasher hasher(just_run{}, failed);
      while (const auto files = batches.receive()) hasher.hash(*files);
      list = std::move(hasher).sorted();
    });
  }
  walk(given.roots, batches, failed);
  batches.close();
  for (auto& hasher : hashers) hasher.join();
  print_merged(std::move(lists));
  return failed.exit_status();
}
