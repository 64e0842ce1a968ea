// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "roots/sink.hpp"

namespace heddle::gc::detail {

/// Tells the sink of the addresses in all root cells (core.hpp). Cells that come meanwhile may be left out, and those
/// whose address changes may be told of with the old or the new one: the write barrier, which must be armed, tells of
/// both. Threads may be suspended. O(cells), 4 ns each in order; a thread that adds or removes one waits for 256 at
/// most.
void scan_root_cells(root_sink& sink) noexcept;

/// Tells the sink of the values in channels, futures and fiber-locals. They change meanwhile, as above. No thread may
/// be suspended: it may hold the lock of a list. O(bytes); a thread that ends such a range waits until it has been
/// scanned.
void scan_ranges(root_sink& sink) noexcept;

}  // namespace heddle::gc::detail
