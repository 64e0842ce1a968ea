// SPDX-License-Identifier: BSL-1.0
//
// A store of 954 MiB: buckets that hold ten entries each, of 96 bytes. Each processor has a worker that reads a bucket
// chosen at random and replaces its entries by new ones; a heartbeat says how late others run meanwhile.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>

#include "gc/common/random.hpp"
#include "gc/common/waits.hpp"

namespace perf::gc {

template <class M>
struct entry {
  typename M::template link<entry> older;
  std::uint64_t key = 0;
  std::uint64_t contents[10] = {};
};

constexpr std::uint64_t entry_bytes = 96;  // with a link of one word
constexpr unsigned entries_each = 10;

template <class M>
using bucket = typename M::template link<entry<M>>;

template <class M>
void fill(bucket<M>& to, std::uint64_t key) {
  for (unsigned i = 0; i < entries_each; ++i) {
    auto fresh = M::template make<entry<M>>();
    fresh->older = M::take(to);
    fresh->key = key + i;
    fresh->contents[9] = ~(key + i);
    to = std::move(fresh);
  }
}

/// Checks the entries, and lets go of them.
template <class M>
void empty(bucket<M>& from) {
  unsigned entries = 0;
  for (entry<M>* at = M::at(from); at != nullptr; ++entries) {
    require(at->contents[9] == ~at->key, "an entry was overwritten");
    entry<M>* const older = M::at(at->older);
    if constexpr (M::by_hand) M::release(at);
    at = older;
  }
  require(entries == entries_each, "a bucket has lost an entry");
  from = nullptr;
}

template <class M>
class store {
 public:
  explicit store(std::uint64_t mib) : size_((mib << 20) / (entry_bytes * entries_each)) {
    require(size_ > 0, "--mib is too small");
    buckets_ = M::template make_array<bucket<M>>(size_);
    for (std::uint64_t i = 0; i < size_; ++i) fill<M>(buckets_[i], i);
  }

  /// The buckets of a worker are its own.
  bucket<M>& choose(random& choice, unsigned worker, unsigned workers) {
    const std::uint64_t share = size_ / workers;
    return buckets_[worker * share + choice.below(share)];
  }

  void check_and_free() {
    for (std::uint64_t i = 0; i < size_; ++i) empty<M>(buckets_[i]);
    M::release_array(buckets_);
  }

 private:
  std::uint64_t size_;
  typename M::template array<bucket<M>> buckets_;
};

struct outcome {
  std::mutex mutex;
  waits operations;
  waits beats;
};

template <class M>
void work(store<M>& on, unsigned worker, unsigned workers, double until, outcome& to) {
  random choice(worker + 1);
  waits times;
  for (double begin = now(); begin < until;) {
    for (unsigned i = 0; i < 8; ++i) {
      bucket<M>& one = on.choose(choice, worker, workers);
      empty<M>(one);
      fill<M>(one, choice.next());
      const double end = now();
      times.add(end - begin);
      begin = end;
    }
    M::yield();
    begin = now();
  }
  const std::lock_guard lock(to.mutex);
  to.operations.add(times);
}

/// Sleeps, and notes how much later than asked for it goes on.
template <class M>
void beat(double period, double until, waits& late) {
  for (double due = now() + period; due < until; due = std::max(due + period, now())) {
    M::sleep_until(due);
    late.add(now() - due);
  }
}

template <class M>
int live(int argc, char** argv) {
  const arguments args(argc, argv, {{"mib", 954}, {"seconds", 5}, {"beat_us", 250}});
  report report;
  M::run(args, [&] {
    store<M> all(args["mib"]);
    outcome measured;
    const double until = now() + static_cast<double>(args["seconds"]) * 1e9;
    M::on_workers(args.procs() + 1, [&](unsigned i) {
      if (i < args.procs()) return work<M>(all, i, args.procs(), until, measured);
      beat<M>(static_cast<double>(args["beat_us"]) * 1e3, until, measured.beats);
    });
    report.add("kops", static_cast<double>(measured.operations.count()) / 1e3 / static_cast<double>(args["seconds"]));
    report.add("resident_over_live", static_cast<double>(memory_in_use()) / static_cast<double>(args["mib"] << 20));
    measured.operations.print(report, "operation");
    measured.beats.print(report, "beat");
    all.check_and_free();
  });
  report.print();
  return 0;
}

}  // namespace perf::gc
