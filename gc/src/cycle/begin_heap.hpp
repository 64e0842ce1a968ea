// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// Whether the heap can be used; it is made by the first call.
bool begin_heap() noexcept;

}  // namespace heddle::gc::detail
