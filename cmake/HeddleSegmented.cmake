# SPDX-License-Identifier: BSL-1.0
#
# The target heddle::segmented: fibers of code that links it start with a stack of 1 or 2 KiB that grows by segments. It
# compiles with -fsplit-stack, by way of our own step before the assembler, and links with a linker that raises the
# headroom of functions that call foreign code: gold or lld; plain ld does not.

include(CheckLinkerFlag)

# heddle_segmented_linker(result flags): the options of the first linker that will do, or nothing.
function(heddle_segmented_linker result)
  set(flags_gold -fuse-ld=gold LINKER:--split-stack-adjust-size=16384)
  set(flags_lld -fuse-ld=lld)
  set(${result} "" PARENT_SCOPE)
  foreach(linker gold lld)
    if(HEDDLE_SEGMENTED_LINKER STREQUAL "AUTO" OR HEDDLE_SEGMENTED_LINKER STREQUAL linker)
      check_linker_flag(CXX "${flags_${linker}}" HEDDLE_HAS_${linker})
      if(HEDDLE_HAS_${linker})
        set(${result} ${flags_${linker}} LINKER:-z,now PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

set(heddle_segmented_linker "")
set(heddle_no_segments "")
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(heddle_no_segments "it needs gcc, this is ${CMAKE_CXX_COMPILER_ID}")
elseif(HEDDLE_SANITIZE)
  set(heddle_no_segments "the sanitizers know no segments")
elseif(BUILD_SHARED_LIBS)
  set(heddle_no_segments "it needs a static heddle, since linkers take every shared library for foreign code")
elseif(NOT HEDDLE_SEGMENTED STREQUAL "OFF")
  heddle_segmented_linker(heddle_segmented_linker)
  if(NOT heddle_segmented_linker)
    set(heddle_no_segments "it needs the linker gold or lld (Debian: binutils-gold or lld; up to Debian 12: binutils); plain ld \
does not raise the headroom of functions that call code which is not compiled with -fsplit-stack")
  endif()
endif()
if(HEDDLE_SEGMENTED STREQUAL "OFF" OR heddle_no_segments)
  if(HEDDLE_SEGMENTED STREQUAL "ON")
    message(FATAL_ERROR "heddle::segmented cannot be had: ${heddle_no_segments}")
  elseif(heddle_no_segments MATCHES "the linker gold or lld")
    heddle_left_out("heddle::segmented, stacks that grow, and their tests" "${heddle_no_segments}")
  elseif(heddle_no_segments)
    message(STATUS "No heddle::segmented: ${heddle_no_segments}")
  endif()
  return()
endif()

add_library(heddle_segmented INTERFACE)
add_library(heddle::segmented ALIAS heddle_segmented)
set_target_properties(heddle_segmented PROPERTIES EXPORT_NAME segmented)
set(heddle_assembler_dir lib/heddle/segmented)
# HEDDLE_SEGMENTED counts the versions of the assembler step, so that compiler caches know them apart.
target_compile_definitions(heddle_segmented INTERFACE HEDDLE_SEGMENTED=3)
# Split functions whole: their cold parts would have no prologue of their own. Control-flow protection marks would stand
# where prologues return to.
target_compile_options(heddle_segmented INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-fsplit-stack;-fcf-protection=none;-fno-reorder-blocks-and-partition;-fno-lto>
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:C,CXX>:-B${PROJECT_SOURCE_DIR}/runtime/segmented>>
  $<INSTALL_INTERFACE:$<$<COMPILE_LANGUAGE:C,CXX>:-B$<INSTALL_PREFIX>/${heddle_assembler_dir}>>)
target_link_options(heddle_segmented INTERFACE ${heddle_segmented_linker})
target_link_libraries(heddle_segmented INTERFACE heddle::runtime)
