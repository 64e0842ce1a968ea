// SPDX-License-Identifier: BSL-1.0
#pragma once

#if !defined(__linux__) || !defined(__x86_64__)
#error "heddle runs on Linux x86-64"
#endif
#if __cplusplus < 202002L
#error "heddle needs C++20"
#endif
// The malloc shim has no use for them.
#if !defined(__cpp_exceptions) && !defined(HEDDLE_EXPORT_NOTHING)
#error "heddle needs exceptions: compile without -fno-exceptions (-fno-rtti is allowed)"
#endif

/// Marks what the shared libraries export; everything else is hidden. The malloc shim exports nothing of heddle's: its
/// names would come before those of the library in a program that uses both.
#if defined(HEDDLE_EXPORT_NOTHING)
#define HEDDLE_EXPORT
#else
#define HEDDLE_EXPORT __attribute__((visibility("default")))
#endif

/// What a lock guards and who must hold it: checked by clang's -Wthread-safety, unknown to gcc.
#if defined(__clang__)
#define HEDDLE_THREAD_SAFETY(x) __attribute__((x))
#else
#define HEDDLE_THREAD_SAFETY(x)
#endif
#define HEDDLE_CAPABILITY(what) HEDDLE_THREAD_SAFETY(capability(what))
#define HEDDLE_SCOPED_CAPABILITY HEDDLE_THREAD_SAFETY(scoped_lockable)
#define HEDDLE_GUARDED_BY(lock) HEDDLE_THREAD_SAFETY(guarded_by(lock))
#define HEDDLE_REQUIRES(...) HEDDLE_THREAD_SAFETY(requires_capability(__VA_ARGS__))
#define HEDDLE_ACQUIRE(...) HEDDLE_THREAD_SAFETY(acquire_capability(__VA_ARGS__))
#define HEDDLE_TRY_ACQUIRE(...) HEDDLE_THREAD_SAFETY(try_acquire_capability(__VA_ARGS__))
#define HEDDLE_RELEASE(...) HEDDLE_THREAD_SAFETY(release_capability(__VA_ARGS__))
#define HEDDLE_NO_THREAD_SAFETY_ANALYSIS HEDDLE_THREAD_SAFETY(no_thread_safety_analysis)

// The explorer compiles our sources into itself, the shim into its own library: both are built in one piece.
#if !defined(HEDDLE_MODEL) && !defined(HEDDLE_EXPORT_NOTHING)
#include "heddle/detail/same_build.hpp"
#endif
