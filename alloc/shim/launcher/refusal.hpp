// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

namespace heddle::launcher {

/// Why a program is not run. Thrown by all that looks at it.
struct refusal {
  /// 125: the program would not take the preload; 126: it cannot be run; 127: it is not there.
  enum class kind { no_preload = 125, not_runnable = 126, not_found = 127 };
  kind status;
  std::string words;  ///< begin with the name of the thing
};

}  // namespace heddle::launcher
