// SPDX-License-Identifier: BSL-1.0
//
// A cache that forgets what was asked for longest ago: a hash table of chains, its entries in a list by their last use.
// Keys are skewed.
#pragma once

#include <algorithm>
#include <bit>

#include "common/bench.hpp"
#include "gc/common/random.hpp"

namespace perf::gc {

struct cached_value {
  using no_links = void;
  std::uint64_t words[16];
};

template <class M>
struct cache_entry {
  typename M::template link<cache_entry> chained;
  typename M::template link<cached_value> value;
  typename M::template back<cache_entry> newer, older;
  std::uint64_t key = 0;
};

template <class M>
class lru_cache {
  using entry = cache_entry<M>;
  using link = typename M::template link<entry>;

 public:
  explicit lru_cache(std::uint64_t capacity)
      : capacity_(capacity),
        mask_(std::bit_ceil(capacity) - 1),
        table_(M::template make_array<link>(mask_ + 1)),
        ends_(M::template make<entry>()) {
    entry* const ends = M::at(ends_);
    ends->newer = ends;
    ends->older = ends;
  }

  const cached_value* get(std::uint64_t key) {
    for (entry* at = M::at(chain(key)); at != nullptr; at = M::at(at->chained)) {
      if (at->key != key) continue;
      take_out(at);
      put_first(at);
      return M::at(at->value);
    }
    return nullptr;
  }

  /// The key is not there.
  void put(std::uint64_t key) {
    if (size_ == capacity_) evict(M::at(M::at(ends_)->newer));
    auto fresh = M::template make<entry>();
    auto value = M::template make<cached_value>();
    M::at(value)->words[0] = key;
    M::at(value)->words[15] = ~key;
    fresh->key = key;
    fresh->value = std::move(value);
    link& first = chain(key);
    fresh->chained = M::take(first);
    put_first(M::at(fresh));
    first = std::move(fresh);
    ++size_;
  }

  void clear() {
    while (size_ > 0) evict(M::at(M::at(ends_)->newer));
    M::release(M::at(ends_));
    M::release_array(table_);
  }

 private:
  link& chain(std::uint64_t key) { return table_[(key * 0x9e3779b97f4a7c15u >> 20) & mask_]; }

  static void take_out(entry* at) {
    entry* const newer = M::at(at->newer);
    entry* const older = M::at(at->older);
    newer->older = older;
    older->newer = newer;
  }
  // The list is a circle through ends_: its `older` is the entry used last, its `newer` the one not used for longest.
  void put_first(entry* at) {
    entry* const ends = M::at(ends_);
    entry* const first = M::at(ends->older);
    at->newer = ends;
    at->older = first;
    first->newer = at;
    ends->older = at;
  }
  void evict(entry* at) {
    take_out(at);
    link* from = &chain(at->key);
    while (M::at(*from) != at) from = &M::at(*from)->chained;
    auto keep = M::take(at->chained);
    if constexpr (M::by_hand) {
      M::release(at->value);
      M::release(at);
    }
    *from = std::move(keep);
    --size_;
  }

  std::uint64_t capacity_, mask_;
  std::uint64_t size_ = 0;
  typename M::template array<link> table_;
  typename M::template hold<entry> ends_;
};

/// Small numbers are the frequent ones.
inline std::uint64_t skewed_key(random& choice, std::uint64_t keys) {
  const std::uint64_t one = choice.below(keys), two = choice.below(keys);
  return one * two / keys;
}

template <class M>
void use_cache(const arguments& args, report& to) {
  const std::uint64_t capacity = args["entries"], operations = args["operations"];
  lru_cache<M> cache(capacity);
  random choice(1);
  std::uint64_t hits = 0;
  const double ns = timed([&] {
    for (std::uint64_t i = 0; i < operations; ++i) {
      const std::uint64_t key = skewed_key(choice, capacity * 2);
      if (const cached_value* found = cache.get(key)) {
        require(found->words[0] == key && found->words[15] == ~key, "a value was overwritten");
        ++hits;
      } else {
        cache.put(key);
      }
    }
  });
  cache.clear();
  to.add("operation_ns", ns / static_cast<double>(operations));
  to.add("hits_percent", 100 * static_cast<double>(hits) / static_cast<double>(operations));
}

template <class M>
int lru(int argc, char** argv) {
  const arguments args(argc, argv, {{"entries", 500'000}, {"operations", 5'000'000}});
  require(args["entries"] > 0 && args["operations"] > 0, "--entries and --operations must be at least 1");
  report report;
  M::run(args, [&] { use_cache<M>(args, report); });
  report.print();
  return 0;
}

}  // namespace perf::gc
