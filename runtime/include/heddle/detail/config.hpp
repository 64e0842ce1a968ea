// SPDX-License-Identifier: BSL-1.0
#pragma once
#define HEDDLE_EXPORT __attribute__((visibility("default")))
