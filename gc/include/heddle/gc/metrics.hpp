// SPDX-License-Identifier: BSL-1.0
//
// The collector and its heap as monitoring sees them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "heddle/detail/config.hpp"

namespace heddle::gc {

/// The objects of one type in the heap. Bytes are those of whole blocks, which may be larger than their objects.
struct type_values {
  /// As the compiler writes it; "[]" behind it: arrays of it. "(without addresses)" are all types that have neither
  /// addresses nor a destructor: the collector does not tell them apart. " (counted)" at the end: objects of
  /// gc::make_counted(), of whatever type; weak references to such have a type of their own.
  std::string type;
  /// That the last cycle found alive, or that were made during it; an array counts once. Counted ones: now, until their
  /// memory is free.
  std::uint64_t objects = 0;
  std::uint64_t live_bytes = 0;  ///< of these
  std::uint64_t span_bytes = 0;  ///< now: of the pages that serve this type, the free blocks in them included
};

/// The heap by type: the types that have pages now, that with the most live bytes first. Types of one name count
/// as one. While a cycle sweeps, a type has what has been swept of it. The bytes of collected types add up to those
/// that statistics() has, and the span bytes of counted ones to those of counted_statistics().
///
/// O(types) steps, with a lock for each that threads need which run out of free blocks of it. Counted objects: O(their
/// spans + free blocks that threads have at hand), and threads are kept from counting meanwhile. Throws std::bad_alloc.
/// From fibers and plain threads.
///
///     for (const auto& t : heddle::gc::heap_by_type())
///       std::printf("%s: %llu\n", t.type.c_str(), static_cast<unsigned long long>(t.live_bytes));
HEDDLE_EXPORT std::vector<type_values> heap_by_type();

/// statistics(), counted_statistics() and heap_by_type() in the text exposition format of Prometheus (version 0.0.4),
/// to be served as "text/plain; version=0.0.4": names begin with heddle_gc_, waits are the histogram
/// heddle_gc_wait_seconds by the label cause (handshake, assist, cycle, scan), types are labels of
/// heddle_gc_type_objects, _live_bytes and _span_bytes. gc/README.md has the list.
///
/// As long as heap_by_type(). Throws std::bad_alloc. From fibers and plain threads.
HEDDLE_EXPORT std::string prometheus();

}  // namespace heddle::gc
