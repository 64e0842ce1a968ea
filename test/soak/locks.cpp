// SPDX-License-Identifier: BSL-1.0
#include <mutex>
#include <shared_mutex>

#include "scenarios.hpp"

namespace soak {
namespace {

/// Two plain numbers that are equal whenever nobody writes.
struct pair {
  long first = 0;
  long second = 0;
  void write(dice& chance) {
    require(first == second, "a lock keeps others out");
    ++first;
    if (chance.one_in(16)) heddle::this_fiber::yield();
    ++second;
  }
  long read() const {
    require(first == second, "a shared lock keeps writers out");
    return first;
  }
};

/// Locks `m` in one of the ways that its type has; false if it was not to be had in time.
template <class Mutex>
bool lock_somehow(Mutex& m, dice& chance, stopper& stops) {
  switch (chance.below(6)) {
    case 0: return m.try_lock();
    case 1:
      if constexpr (requires { m.try_lock_for(chance.moment()); }) return m.try_lock_for(chance.moment());
      [[fallthrough]];
    case 2:
      if constexpr (requires { m.try_lock_until(std::chrono::system_clock::now()); })
        return m.try_lock_until(std::chrono::system_clock::now() + chance.moment());
      [[fallthrough]];
    case 3:
      if constexpr (requires { m.lock(std::stop_token()); }) return m.lock(stops.token());
      [[fallthrough]];
    default: m.lock(); return true;
  }
}
template <class Mutex>
bool lock_shared_somehow(Mutex& m, dice& chance, stopper& stops) {
  switch (chance.below(5)) {
    case 0: return m.try_lock_shared();
    case 1:
      if constexpr (requires { m.try_lock_shared_for(chance.moment()); }) return m.try_lock_shared_for(chance.moment());
      [[fallthrough]];
    case 2:
      if constexpr (requires { m.lock_shared(std::stop_token()); }) return m.lock_shared(stops.token());
      [[fallthrough]];
    default: m.lock_shared(); return true;
  }
}

template <class Mutex>
void exclude(const round& r) {
  Mutex m;
  pair guarded;
  std::atomic<long> writes{0};
  {
    stopper stops(r.seed);
    work_together(r, [&](dice& chance, unsigned) {
      for (unsigned i = 0; i != r.operations; ++i) {
        chance.dawdle();
        if (!lock_somehow(m, chance, stops)) continue;
        guarded.write(chance);
        ++writes;
        m.unlock();
      }
    });
  }
  require(guarded.read() == writes, "no write under a lock is lost");
}

template <class Mutex>
void share(const round& r) {
  Mutex m;
  pair guarded;
  std::atomic<long> writes{0};
  {
    stopper stops(r.seed);
    work_together(r, [&](dice& chance, unsigned) {
      for (unsigned i = 0; i != r.operations; ++i) {
        chance.dawdle();
        if (chance.one_in(4)) {
          if (!lock_somehow(m, chance, stops)) continue;
          guarded.write(chance);
          ++writes;
          m.unlock();
        } else if (lock_shared_somehow(m, chance, stops)) {
          const long before = guarded.read();
          chance.dawdle();
          require(guarded.read() == before, "a shared lock keeps writers out");
          m.unlock_shared();
        }
      }
    });
  }
  require(guarded.read() == writes, "no write under a lock is lost");
}

}  // namespace

void locks(const round& r) {
  switch (dice(r.seed).below(6)) {
    case 0: return exclude<heddle::mutex>(r);
    case 1: return exclude<heddle::timed_mutex>(r);
    case 2: return exclude<heddle::recursive_mutex>(r);
    case 3: return exclude<heddle::recursive_timed_mutex>(r);
    case 4: return share<heddle::shared_mutex>(r);
    default: return share<heddle::shared_timed_mutex>(r);
  }
}

}  // namespace soak
