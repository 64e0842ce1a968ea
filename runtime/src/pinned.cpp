// SPDX-License-Identifier: BSL-1.0
#include "pinned.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdio>

#include "heddle/detail/trusted.hpp"
#include "scheduler.hpp"

// As in thread_stack.cpp.
#pragma weak dlopen
#pragma weak dlsym

extern "C" {
/// A function of an OpenMP runtime that is linked to the program: how many parallel regions the thread is in.
int omp_get_level() __attribute__((weak));
}

namespace heddle::detail {
namespace {

using level_function = int (*)();

// Written while a runtime starts, read by its machines.
constinit std::array<std::atomic<level_function>, 4> openmp_levels{};
constinit std::atomic<bool> region_told{false};

bool in_openmp_region() noexcept {
  if (openmp_levels.front().load(std::memory_order_relaxed) == nullptr) return false;
  bool inside = false;
  on_home_stack([&inside] {
    for (const auto& slot : openmp_levels) {
      const level_function level = slot.load(std::memory_order_relaxed);
      inside = inside || (level != nullptr && level() != 0);
    }
  });
  return inside;
}

void add_openmp(level_function level) noexcept {
  if (level == nullptr) return;
  for (auto& slot : openmp_levels) {
    const level_function known = slot.load(std::memory_order_relaxed);
    if (known == level) return;
    if (known == nullptr) return slot.store(level, std::memory_order_relaxed);
  }
}

void* slot_unless_pinned() noexcept {
  machine* const m = this_machine();
  return m != nullptr && m->current != nullptr && is_pinned(*m) ? nullptr : m;
}

/// Reported once: the program is right, but its fibers cost threads here.
void tell_of_region(const machine& m) noexcept {
  if (region_told.exchange(true, std::memory_order_relaxed)) return;
  std::array<char, 128> who;
  std::fprintf(stderr,
               "heddle: %s waits inside a parallel region of OpenMP, so its kernel thread waits with it (said once)\n",
               describe(*m.current, who.data(), who.size()));
}

}  // namespace

constinit std::atomic<void* (*)() noexcept> suspendable_slot{&platform::thread_slot};

void look_for_pins() noexcept {
  if (suspendable_slot.load(std::memory_order_relaxed) != slot_unless_pinned)
    suspendable_slot.store(slot_unless_pinned, std::memory_order_relaxed);
}

void look_for_openmp() noexcept {
  add_openmp(omp_get_level);
  if (dlopen != nullptr && dlsym != nullptr) {
    add_openmp(reinterpret_cast<level_function>(::dlsym(RTLD_DEFAULT, "omp_get_level")));
    for (const char* library : {"libgomp.so.1", "libomp.so.5", "libomp.so", "libiomp5.so"})
      if (void* const loaded = ::dlopen(library, RTLD_LAZY | RTLD_NOLOAD))  // kept: it may be called at any time
        add_openmp(reinterpret_cast<level_function>(::dlsym(loaded, "omp_get_level")));
  }
  if (openmp_levels.front().load(std::memory_order_relaxed) != nullptr) look_for_pins();
}

bool is_pinned(const machine& m) noexcept { return m.call.load(std::memory_order_relaxed) != 0 || in_openmp_region(); }

bool release_processor() noexcept {
  machine* const m = this_machine();
  if (m == nullptr) return false;
  on_home_stack([m] {
    if (m->call.load(std::memory_order_relaxed) == 0) tell_of_region(*m);
    if (!HEDDLE_PLANTED(pinned_keeps_processor)) m->sched.release(*m);
  });
  return true;
}

void yield_thread() noexcept {
  if (machine* const m = this_machine(); m != nullptr && m->sched.work_visible()) release_processor();
  platform::yield_thread();
}

}  // namespace heddle::detail
