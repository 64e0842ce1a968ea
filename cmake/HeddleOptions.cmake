# SPDX-License-Identifier: BSL-1.0
#
# The options of the build, each checked. Inside another project (FetchContent) only the libraries are built.

# heddle_switchable(name default doc): an option that must be ON or OFF.
function(heddle_switchable name default doc)
  option(${name} "${doc}" ${default})
  string(TOUPPER "${${name}}" value)
  if(NOT value MATCHES "^(ON|OFF|TRUE|FALSE|YES|NO|Y|N|1|0)$")
    message(FATAL_ERROR "${name} is '${${name}}'; it must be ON or OFF")
  endif()
endfunction()

# heddle_choice(name default doc values...): an option that must be one of the values; "" stands for none of them.
function(heddle_choice name default doc)
  set(${name} "${default}" CACHE STRING "${doc}")
  set_property(CACHE ${name} PROPERTY STRINGS ${ARGN})
  if(NOT "${${name}}" IN_LIST ARGN)
    list(JOIN ARGN ", " values)
    string(REGEX REPLACE "^, " "'' (none), " values "${values}")
    message(FATAL_ERROR "${name} is '${${name}}'; it must be one of: ${values}")
  endif()
endfunction()

if(PROJECT_IS_TOP_LEVEL)
  heddle_switchable(BUILD_SHARED_LIBS OFF "Build shared libraries instead of static ones")
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug, RelWithDebInfo or MinSizeRel" FORCE)
  endif()
endif()
heddle_switchable(HEDDLE_TESTS ${PROJECT_IS_TOP_LEVEL} "Build the tests")
heddle_switchable(HEDDLE_FUZZ OFF "Build the fuzzer of the allocator; needs clang")
heddle_switchable(HEDDLE_PERF OFF "Build the benchmarks")
heddle_switchable(HEDDLE_INSTALL ${PROJECT_IS_TOP_LEVEL} "Generate the install target")
set(HEDDLE_WERROR OFF CACHE STRING "Warnings are errors in heddle's own code: ON, OFF, or compilers (GNU-12,Clang-14)")
string(TOUPPER "${HEDDLE_WERROR}" heddle_werror)
if(HEDDLE_WERROR MATCHES "^[A-Za-z]+-[0-9]+(,[A-Za-z]+-[0-9]+)*$")
  # A newer compiler may warn of more, which must keep nobody from building.
  string(REGEX MATCH "^[0-9]+" heddle_werror "${CMAKE_CXX_COMPILER_VERSION}")
  string(REPLACE "," ";" heddle_compilers "${HEDDLE_WERROR}")
  if("${CMAKE_CXX_COMPILER_ID}-${heddle_werror}" IN_LIST heddle_compilers)
    set(heddle_werror ON)
  else()
    set(heddle_werror OFF)
    message(STATUS "Warnings are no errors: this is ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, and "
                   "HEDDLE_WERROR names ${HEDDLE_WERROR}")
  endif()
elseif(NOT heddle_werror MATCHES "^(ON|OFF|TRUE|FALSE|YES|NO|Y|N|1|0)$")
  message(FATAL_ERROR "HEDDLE_WERROR is '${HEDDLE_WERROR}'; it must be ON or OFF, or name compilers as in GNU-12,Clang-14")
endif()
heddle_switchable(HEDDLE_STACK_CLASH_PROTECTION ON "Compile code that links heddle with -fstack-clash-protection")
heddle_choice(HEDDLE_SWITCH boost "How fibers switch: Boost.Context, or our own code that leaves out the FPU control words"
              boost fast)
heddle_choice(HEDDLE_BACKTRACE "AUTO" "Files and lines in reports, by libbacktrace: AUTO where it is installed"
              AUTO ON OFF)
heddle_choice(HEDDLE_SEGMENTED "AUTO" "Offer heddle::segmented: AUTO where it can be had" AUTO ON OFF)
heddle_choice(HEDDLE_SEGMENTED_LINKER "AUTO" "The linker for code that links heddle::segmented" AUTO gold lld)
heddle_choice(HEDDLE_SANITIZE "" "Build with a sanitizer" "" address thread)
