// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// Has forks leave the heap whole. Once, before the first object.
void heed_forks() noexcept;

}  // namespace heddle::gc::detail
