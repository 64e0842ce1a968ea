// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

namespace heddle::launcher {

/// Why a process that this one turns into by executing a program's file will have AT_SECURE set, so that the loader
/// ignores LD_PRELOAD; empty if it will not. In words that follow the name of the file.
///
/// That is reckoned as the kernel does (`bprm_fill_uid()`, `cap_bprm_creds_from_file()`), since there is no way to ask
/// it without running the program. So set-user-ID counts only where the user would be another one; nothing counts where
/// file systems are mounted with nosuid, and capabilities of the file do not count for root. A security module, such as
/// AppArmor, that makes more programs secure than these is not seen.
std::string becomes_secure(const std::string& path);

}  // namespace heddle::launcher
