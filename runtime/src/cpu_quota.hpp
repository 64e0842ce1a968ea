// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>

namespace heddle::detail {

/// CPUs' worth of time that the cgroups of this process may use, rounded up; nothing if that is not limited. The least
/// of its own group and all above it, as far as they are mounted here; of version 2 (cpu.max) and version 1
/// (cpu.cfs_quota_us) both, since a system may have a hierarchy of each.
/// `root`: the folder below which /proc and all mount points are looked for, "" for the real ones. A file that cannot
/// be read limits nothing. Throws std::bad_alloc.
std::optional<unsigned> cpu_quota(const std::string& root = {});

}  // namespace heddle::detail
