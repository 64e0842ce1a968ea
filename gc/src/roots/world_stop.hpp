// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>

#include "roots/sink.hpp"
#include "roots/stacks.hpp"

namespace heddle::gc::detail {

/// While it lives, no fiber runs and no known thread does: a mode for debugging. For the collector's thread, one at a
/// time. The constructor waits until all can be stopped at once, outside of the runtime and of the collector; it may
/// throw std::bad_alloc.
class world_stop {
 public:
  world_stop();
  ~world_stop();
  world_stop(const world_stop&) = delete;
  world_stop& operator=(const world_stop&) = delete;

  /// Scans all stacks. May be called several times; takes no lock and allocates nothing.
  void scan_all(root_sink& sink, of_stopped_thread also = nullptr) noexcept;

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace heddle::gc::detail
