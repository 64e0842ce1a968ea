// SPDX-License-Identifier: BSL-1.0
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "scenarios.hpp"

namespace soak {

/// A bounded buffer on two condition variables: all that goes in comes out, whoever gives up in between.
void buffer(const round& r) {
  heddle::mutex m;
  heddle::condition_variable filled;
  heddle::condition_variable emptied;
  std::deque<long> items;
  const std::size_t most = 1 + dice(r.seed).below(4);
  std::atomic<long> in{0};
  std::atomic<long> out{0};
  {
    stopper stops(r.seed);
    work_together(r, [&](dice& chance, unsigned) {
      for (unsigned i = 0; i != r.operations; ++i) {
        chance.dawdle();
        std::unique_lock hold(m);
        const bool fills = chance.one_in(2);
        heddle::condition_variable& changed = fills ? emptied : filled;
        const auto ready = [&] { return fills ? items.size() < most : !items.empty(); };
        bool can = false;
        switch (chance.below(3)) {
          case 0: can = changed.wait_for(hold, chance.moment(), ready); break;
          case 1: can = changed.wait(hold, stops.token(), ready); break;
          default: can = changed.wait_for(hold, stops.token(), chance.moment(), ready); break;
        }
        require(hold.owns_lock(), "a wait ends with the lock held");
        require(can == ready(), "a wait says whether what was waited for has come");
        if (!can) continue;
        const long value = static_cast<long>(r.seed % 1'000) + i;
        if (fills) {
          items.push_back(value);
          in += value;
          chance.one_in(8) ? filled.notify_all() : filled.notify_one();
        } else {
          out += items.front();
          items.pop_front();
          chance.one_in(8) ? emptied.notify_all() : emptied.notify_one();
        }
      }
    });
  }
  for (const long value : items) out += value;
  require(in == out, "what goes into a buffer comes out");
}

/// Nobody holds more permits than there are, and none is lost.
void permits(const round& r) {
  const unsigned all = 1 + dice(r.seed).below(5);
  heddle::semaphore free(all);
  std::atomic<int> held{0};
  {
    stopper stops(r.seed);
    work_together(r, [&](dice& chance, unsigned) {
      for (unsigned i = 0; i != r.operations; ++i) {
        chance.dawdle();
        const unsigned n = 1 + chance.below(all);
        bool have = true;
        switch (chance.below(4)) {
          case 0: have = free.try_acquire(n); break;
          case 1: have = free.try_acquire_for(chance.moment(), n); break;
          case 2: have = free.acquire(stops.token(), n); break;
          default: free.acquire(n); break;
        }
        if (!have) continue;
        require((held += static_cast<int>(n)) <= static_cast<int>(all), "a semaphore lends no more than it has");
        chance.dawdle();
        held -= static_cast<int>(n);
        free.release(n);
      }
    });
  }
  require(free.try_acquire(all), "permits come back");
  free.release(all);
}

/// All arrive before any goes on, round after round; a latch and a wait group let go at zero and not before.
void phases(const round& r) {
  const unsigned n = r.fibers + r.threads;
  const unsigned rounds = r.operations / 4 + 1;
  std::atomic<unsigned> arrived{0};
  heddle::barrier all_here(n);
  heddle::latch begun(n);
  heddle::wait_group ended(n);
  stopper stops(r.seed);
  work_together(r, [&](dice& chance, unsigned me) {
    chance.dawdle();
    begun.arrive_and_wait();
    require(begun.try_wait(), "a latch stays open");
    for (unsigned i = 1; i <= rounds; ++i) {
      chance.dawdle();
      ++arrived;
      all_here.arrive_and_wait();
      require(arrived >= i * n, "a barrier holds until all are there");
      all_here.arrive_and_wait();
    }
    ended.done();
    if (me % 3 == 0) {
      while (!ended.wait_for(chance.moment())) {
      }
      require(arrived == rounds * n, "a wait group waits for all");
    } else if (me % 3 == 1 && ended.wait(stops.token())) {
      require(arrived == rounds * n, "a wait group waits for all");
    }
  });
}

/// A future has what was promised, for everybody who asks and once.
void promises(const round& r) {
  work_together(r, [&](dice& chance, unsigned me) {
    for (unsigned i = 0; i != r.operations / 4 + 1; ++i) {
      heddle::promise<unsigned> given;
      heddle::shared_future<unsigned> awaited = given.get_future().share();
      const unsigned how = chance.below(3);
      auto keeper = heddle::spawn([given = std::move(given), how, me, i]() mutable {
        if (i % 2 == 0) heddle::this_fiber::yield();
        if (how == 0) given.set_value(me + i);
        if (how == 1) given.set_exception(std::make_exception_ptr(std::out_of_range("promised")));
      });
      auto other = heddle::spawn([awaited, how] {
        awaited.wait();
        return how;
      });
      if (chance.one_in(2)) (void)awaited.wait_for(chance.moment());
      try {
        require(awaited.get() == me + i && how == 0, "a future has the value that was set");
      } catch (const std::out_of_range&) {
        require(how == 1, "a future throws the exception that was set");
      } catch (const std::future_error&) {
        require(how == 2, "a promise that is dropped is broken");
      }
      other.join();
      keeper.join();
    }
  });
}

/// What is done once is done once, by whoever did not fail, and seen by all.
void once(const round& r) {
  for (unsigned i = 0; i != r.operations / 8 + 1; ++i) {
    heddle::once_flag flag;
    std::atomic<int> tried{0};
    int done = 0;
    const int failures = static_cast<int>(i % 3);
    work_together({r.seed + i, r.fibers, r.threads, 1}, [&](dice& chance, unsigned) {
      for (;;) {
        try {
          heddle::call_once(flag, [&] {
            chance.dawdle();
            if (tried++ < failures) throw std::runtime_error("not yet");
            ++done;
          });
          require(done == 1, "call_once returns when it has been done");
          return;
        } catch (const std::runtime_error&) {
        }
      }
    });
    require(done == 1 && tried == failures + 1, "what is done once is done once");
  }
}

}  // namespace soak
