// SPDX-License-Identifier: BSL-1.0
#pragma once

#if !defined(__linux__) || !defined(__x86_64__)
#error "heddle runs on Linux x86-64"
#endif
#if __cplusplus < 202002L
#error "heddle needs C++20"
#endif

/// Marks what the shared libraries export; everything else is hidden.
#define HEDDLE_EXPORT __attribute__((visibility("default")))
