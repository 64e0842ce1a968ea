// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "heddle/detail/config.hpp"

/// Who has allocated what is in use: samples of heddle's allocator with their backtraces, in the text form that pprof
/// and google-pprof read.
///
///     heddle::alloc::profile::start();
///     serve();
///     heddle::alloc::profile::write("server.heap");        // google-pprof --text server server.heap
///
/// Each allocated byte is the one that is looked at with the same probability, once in `sample_interval` bytes on
/// average, so a block of size s is in the profile with the probability 1 - exp(-s/interval), by which pprof scales.
/// Sizes are those of blocks, as good_size() tells. While it is off it costs nothing; while it is on allocate() and
/// deallocate() are the same instructions, the caches are refilled more often, and a sampled block takes whole pages of
/// its own (8 KiB at least). Other threads than that which calls start() take part, class by class, when their caches
/// run dry.
///
/// All functions: any thread. Source: TCMalloc's sampling (S. Ghemawat, P. Menage); J. von Neumann, "Various techniques
/// used in connection with random digits", 1951, for the intervals.
namespace heddle::alloc::profile {

/// Begins a new profile: what an earlier one has counted is gone. False: there is no memory for it, or the interval is
/// 0.
HEDDLE_EXPORT bool start(std::size_t sample_interval = std::size_t{512} << 10) noexcept;
/// No new samples. Those there are stay, and are counted as freed when they are.
HEDDLE_EXPORT void stop() noexcept;
/// Writes what is in use and what has been allocated since start(). False: it cannot be written, see errno. A path is
/// opened as fopen(path, "w") opens it: made with mode 0666 less the umask, or emptied; links are followed.
HEDDLE_EXPORT bool write(const char* path) noexcept;
HEDDLE_EXPORT bool write(int descriptor) noexcept;

}  // namespace heddle::alloc::profile
