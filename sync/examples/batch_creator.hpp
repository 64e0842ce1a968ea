// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <exception>
#include <mutex>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/wait_group.hpp"

namespace examples {

/// Creates many alike things in parallel, a few at first: 1, 2, 4, 8 ... so that what fails (a quota, a bad template)
/// fails a few times only, not a thousand times at once.
///
///     const auto outcome = examples::batch_creator().create(replicas, [&](std::size_t i) { client.create_pod(i); });
///     if (outcome.created < replicas) retry_later(replicas - outcome.created, outcome.errors);
///
/// A batch is joined by a wait group before the next begins; the first in which something fails is the last.
/// Source: slowStartBatch of Kubernetes' job controller.
class batch_creator {
 public:
  struct result {
    std::size_t created = 0;                 ///< calls that returned
    std::size_t skipped = 0;                 ///< calls that were not made, after a batch with an error
    std::vector<std::exception_ptr> errors;  ///< of those that threw, in no order
  };

  explicit batch_creator(std::size_t first_batch = 1) noexcept : first_(std::max<std::size_t>(1, first_batch)) {}

  /// Calls create(i) for i = 0 ... count - 1, each on a fiber of its own.
  template <std::invocable<std::size_t> Create>
  result create(std::size_t count, const Create& create) const {
    result all;
    std::size_t next = 0;
    for (std::size_t batch = first_; next < count && all.errors.empty(); batch *= 2) {
      const std::size_t size = std::min(batch, count - next);
      run_batch(next, size, create, all.errors);
      next += size;
    }
    all.created = next - all.errors.size();
    all.skipped = count - next;
    return all;
  }

 private:
  template <class Create>
  static void run_batch(std::size_t first, std::size_t size, const Create& create,
                        std::vector<std::exception_ptr>& errors) {
    heddle::mutex mutex;
    heddle::wait_group batch;
    const auto fail = [&] {
      const std::lock_guard lock(mutex);
      errors.push_back(std::current_exception());
    };
    for (std::size_t i = first; i != first + size; ++i) {
      batch.add();
      try {
        heddle::go([&, i] {
          try {
            create(i);
          } catch (...) {
            fail();
          }
          batch.done();
        });
      } catch (...) {  // no fiber to be had: as good as not created
        fail();
        batch.done();
      }
    }
    batch.wait();
  }

  std::size_t first_;
};

}  // namespace examples
