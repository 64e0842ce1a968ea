// SPDX-License-Identifier: BSL-1.0
//
// A library that the tests of roots load and close: with variables of both kinds, and pages of them.
#include <array>
#include <cstdint>

namespace {

std::array<void*, 700> variables;
#ifdef WITH_EARLY_VARIABLES  // in the room that the C library has in every thread for libraries to come
[[gnu::tls_model("initial-exec")]] thread_local std::array<void*, 40> own_variables;
#else  // more than there is room for
thread_local std::array<void*, 3000> own_variables;
#endif

const std::uintptr_t read_only = 0xA5'0000'5EED'0000 + 16 * 99;  // hidden_word(99)
int thing = 1;
int* const relocated[] = {&thing, &thing};  // made read-only when its relocations are done

}  // namespace

extern "C" {
void** roots_module_variable() { return &variables[600]; }
void** roots_module_own_variable() { return &own_variables.back(); }
const std::uintptr_t* roots_module_read_only() { return &read_only; }
int* const* roots_module_constant() { return relocated; }
}
