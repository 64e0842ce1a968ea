// SPDX-License-Identifier: BSL-1.0
//
// Three ways to take memory back, side by side. The same programs run with objects that
// - a mark-sweep collector finds dead (gc::ptr),
// - the same collector finds dead among the new ones, most of the time (set_generational),
// - are freed with their last pointer (gc::counted), but for cycles, which a search finds.
//
//     families [scale]        scale: how much work, in per cent of the usual; 0.01 to 10000
//
// Each run has a process of its own, so nothing that one has left behind helps or hinders the next. The columns:
// - time: of all steps, in milliseconds;
// - peak: the most memory that the process has had, in MiB;
// - longest wait: how much longer the longest step took than a usual one (the median), in microseconds;
// - left: objects that are still there when the program has dropped all that it had. The collector's are not known
//   before it has looked;
// - leaked: those that are there after a collection, or a search for cycles;
// - sum: of what the steps have found, the same for all families.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <heddle/gc.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gc = heddle::gc;
using clock_type = std::chrono::steady_clock;

/// The nodes that are there.
std::uint64_t nodes() {
  std::uint64_t sum = 0;
  for (const gc::type_values& t : gc::heap_by_type())
    if (t.type.find("node<") != std::string::npos && t.type.find("[]") == std::string::npos) sum += t.objects;
  return sum;
}

// --- the families

struct mark_sweep {
  static constexpr const char* name = "mark-sweep";
  static constexpr bool knows_what_is_left = false;
  template <class T>
  using pointer = gc::ptr<T>;

  static void begin() { gc::set_generational(false); }
  template <class T, class... Args>
  static gc::ptr<T> make(Args&&... args) {
    return gc::make<T>(std::forward<Args>(args)...);
  }
  template <class T>
  static gc::ptr<T[]> make_array(std::size_t n) {
    return gc::make_array<T>(n);
  }
  static void collect() { gc::collect(); }
};

struct generational : mark_sweep {
  static constexpr const char* name = "generational";
  static void begin() { gc::set_generational(true); }
};

struct counted {
  static constexpr const char* name = "counted";
  static constexpr bool knows_what_is_left = true;
  template <class T>
  using pointer = gc::counted<T>;

  static void begin() {}
  template <class T, class... Args>
  static gc::counted<T> make(Args&&... args) {
    return gc::make_counted<T>(std::forward<Args>(args)...);
  }
  template <class T>
  static gc::counted<T[]> make_array(std::size_t n) {
    return gc::make_counted<T[]>(n);
  }
  /// Garbage that a search in the background has found is destroyed there: for that it waits, ten seconds at most.
  static void collect() {
    gc::collect_cycles();
    for (int i = 0; i != 10'000 && nodes() != 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

// --- the programs: a constructor, a step that is repeated, and how many steps are usual

template <class Family>
struct node {
  typename Family::template pointer<node> left, right;
  std::uint64_t value = 0;
};

/// Rings of nodes that know both neighbours: nothing in one dies while another points to it, so counts alone free none.
template <class Family>
struct graph {
  static constexpr const char* name = "cyclic graph";
  static constexpr unsigned steps = 100'000;
  using pointer = typename Family::template pointer<node<Family>>;

  void step(unsigned i) {
    pointer first = Family::template make<node<Family>>(nullptr, nullptr, i);
    pointer last = first;
    for (int k = 1; k != 8; ++k) {
      last->right = Family::template make<node<Family>>(last, nullptr, i);
      last = last->right;
    }
    last->right = first;
    first->left = last;
    current = first;  // the one before is garbage
    sum += current->left->left->value;
  }

  pointer current;
  std::uint64_t sum = 0;
};

/// Many small trees beside a large one that stays.
template <class Family>
struct tree {
  static constexpr const char* name = "tree";
  static constexpr unsigned steps = 8'000;
  using pointer = typename Family::template pointer<node<Family>>;

  static pointer grow(int depth) {
    if (depth == 0) return Family::template make<node<Family>>(nullptr, nullptr, 1u);
    pointer left = grow(depth - 1);
    return Family::template make<node<Family>>(std::move(left), grow(depth - 1), 1u);
  }
  static std::uint64_t count(const node<Family>& t) {
    return t.value + (t.left == nullptr ? 0 : count(*t.left) + count(*t.right));
  }
  void step(unsigned) { sum += count(*grow(7)); }

  pointer kept = grow(17);
  std::uint64_t sum = 0;
};

/// A table in which each new entry takes the place of an old one, so most objects die old.
template <class Family>
struct cache {
  static constexpr const char* name = "cache";
  static constexpr unsigned steps = 2'000'000;
  static constexpr std::size_t room = 50'000;
  using pointer = typename Family::template pointer<node<Family>>;

  void step(unsigned i) {
    random = random * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    pointer& place = entries[(random >> 33) % room];
    if (place != nullptr) sum += place->value;
    place = Family::template make<node<Family>>(nullptr, nullptr, i);
  }

  typename Family::template pointer<pointer[]> entries = Family::template make_array<pointer>(room);
  std::uint64_t random = 1, sum = 0;
};

/// A list to which new ones come at one end while old ones leave at the other.
template <class Family>
struct queue {
  static constexpr const char* name = "queue";
  static constexpr unsigned steps = 2'000'000;
  static constexpr unsigned length = 10'000;
  using pointer = typename Family::template pointer<node<Family>>;

  void step(unsigned i) {
    pointer made = Family::template make<node<Family>>(nullptr, nullptr, i);
    (last == nullptr ? first : last->right) = made;
    last = std::move(made);
    if (i < length) return;
    sum += first->value;
    first = first->right;
  }

  pointer first, last;
  std::uint64_t sum = 0;
};

// --- a run

double peak_in_mebibytes() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) / 1024;
}

struct times {
  double all_ms, longest_wait_us;
  std::uint64_t sum;
};

template <class Program>
times run_steps(unsigned steps) {
  std::vector<std::uint32_t> took(steps);  // nanoseconds of each step
  Program p;
  const clock_type::time_point began = clock_type::now();
  clock_type::time_point last = began;
  for (unsigned i = 0; i != steps; ++i) {
    p.step(i);
    const clock_type::time_point now = clock_type::now();
    took[i] =
        static_cast<std::uint32_t>(std::min<std::int64_t>((now - last) / std::chrono::nanoseconds(1), UINT32_MAX));
    last = now;
  }
  const double all = std::chrono::duration<double, std::milli>(last - began).count();
  const std::uint32_t longest = *std::ranges::max_element(took);
  std::ranges::nth_element(took, took.begin() + steps / 2);
  return {all, (longest - took[steps / 2]) / 1e3, p.sum};
}

template <class Family, template <class> class Program>
void run(double scale) {
  using program = Program<Family>;
  Family::begin();
  times t{};
  // On a stack that is gone afterwards, with each word that looks like an address.
  std::thread([&] {
    t = run_steps<program>(std::max(1u, static_cast<unsigned>(program::steps * scale / 100)));
  }).join();
  const double peak = peak_in_mebibytes();
  char left[24] = "-";
  if (Family::knows_what_is_left) std::snprintf(left, sizeof left, "%llu", static_cast<unsigned long long>(nodes()));
  Family::collect();
  std::printf("%-13s  %-13s  %9.1f  %9.1f  %16.1f  %9s  %9llu  %llu\n", program::name, Family::name, t.all_ms, peak,
              t.longest_wait_us, left, static_cast<unsigned long long>(nodes()),
              static_cast<unsigned long long>(t.sum));
}

/// Runs it in a child; false: it failed.
template <class Family, template <class> class Program>
bool measure(double scale) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    run<Family, Program>(scale);
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

template <template <class> class Program>
bool compare(double scale) {
  return measure<mark_sweep, Program>(scale) && measure<generational, Program>(scale) &&
         measure<counted, Program>(scale);
}

int main(int argc, char** argv) {
  char* end = nullptr;
  const double s = argc > 1 ? std::strtod(argv[1], &end) : 100;
  if (argc > 2 || (argc == 2 && (end == argv[1] || *end != 0)) || !(s >= 0.01 && s <= 10'000)) {
    std::fprintf(stderr, "families: scale is a number from 0.01 to 10000, in per cent of the usual work\n");
    return 2;
  }
  std::printf("%-13s  %-13s  %9s  %9s  %16s  %9s  %9s  %s\n", "program", "family", "time, ms", "peak, MiB",
              "longest wait, us", "left", "leaked", "sum");
  const bool good = compare<graph>(s) && compare<tree>(s) && compare<cache>(s) && compare<queue>(s);
  if (!good) std::fprintf(stderr, "families: a run has failed\n");
  return good ? 0 : 1;
}
