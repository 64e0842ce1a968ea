// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "scenario.hpp"

namespace soak {

void locks(const round& r);
void buffer(const round& r);
void permits(const round& r);
void phases(const round& r);
void promises(const round& r);
void once(const round& r);
void channels(const round& r);
void groups(const round& r);

}  // namespace soak
