// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "roots/sink.hpp"

namespace heddle::gc::detail {

/// Tells the sink of the variables with static storage of the program and of every library that is loaded: their
/// writable segments, without the part that is made read-only after relocation.
///
/// It works inside the loader's iteration, under the loader's lock, so that no library is unmapped meanwhile: dlclose()
/// waits, and so do dlopen(), and exceptions where the unwinder still takes that lock. From this follow two rules.
/// 1. No thread may wait for the collector while it may hold the loader's lock. Constructors of a library that is being
///    opened allocate, so an allocation must never wait for the roots to be scanned.
/// 2. No thread may be suspended while this runs, since it may hold that lock.
///
/// Libraries in namespaces of their own (dlmopen) are left out: they have a C library of their own, and a heddle.
///
/// The allocator's large tables are left out too.
///
/// O(bytes of the segments), about 0.3 ns a byte. Pages that have never been used count, and are read as zero.
void scan_globals(root_sink& sink) noexcept;

/// A variable with static storage that holds addresses of objects and shall not keep them: one of the collector's own.
/// At most eight, before the first scan.
void leave_out(const void* variable, std::size_t bytes) noexcept;

/// Whether p lies in such a variable. Takes the loader's lock.
bool is_global(const void* p) noexcept;

}  // namespace heddle::gc::detail
