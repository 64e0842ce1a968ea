# SPDX-License-Identifier: BSL-1.0
#
# Fibers run on small stacks, below which their guards lie. A function whose frame is larger than the guard meets the guard
# only if it touches each page of the frame. -fstack-clash-protection makes it do that. All code that links heddle gets it.
#
# Off: HEDDLE_STACK_CLASH_PROTECTION=OFF, a variable of heddle's build for all, or of a project that uses an installed
# heddle, set before its targets are made; or the property of that name of one target.

# Targets have the property from the variable.
define_property(TARGET PROPERTY HEDDLE_STACK_CLASH_PROTECTION INITIALIZE_FROM_VARIABLE HEDDLE_STACK_CLASH_PROTECTION
  BRIEF_DOCS "Whether heddle adds -fstack-clash-protection" FULL_DOCS "On unless it is set to a false value")

set(heddle_stack_clash "")
if(HEDDLE_STACK_CLASH_PROTECTION)
  set(heddle_stack_clash -fstack-clash-protection)
  set(wanted $<TARGET_PROPERTY:HEDDLE_STACK_CLASH_PROTECTION>)
  set(knows "")
  foreach(language C CXX)
    set(new_clang $<VERSION_GREATER_EQUAL:$<${language}_COMPILER_VERSION>,11>)
    list(APPEND knows $<COMPILE_LANG_AND_ID:${language},GNU>
         $<AND:$<COMPILE_LANG_AND_ID:${language},Clang>,${new_clang}>)
  endforeach()
  list(JOIN knows , knows)
  target_compile_options(heddle_runtime INTERFACE
    $<$<AND:$<OR:${knows}>,$<OR:$<STREQUAL:${wanted},>,$<BOOL:${wanted}>>>:${heddle_stack_clash}>)
endif()
