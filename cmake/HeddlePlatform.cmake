# SPDX-License-Identifier: BSL-1.0
#
# Where heddle runs, and what it needs there: heddle_boost (the target to link for the switch of stacks, or nothing).

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$"
   OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR "heddle runs on Linux on x86-64 only, this target is ${CMAKE_SYSTEM_NAME} on "
                      "${CMAKE_SYSTEM_PROCESSOR} with pointers of ${CMAKE_SIZEOF_VOID_P} bytes")
endif()
if(NOT "cxx_std_20" IN_LIST CMAKE_CXX_COMPILE_FEATURES)
  message(FATAL_ERROR "heddle needs a C++20 compiler (gcc 12 or clang 14 and newer); ${CMAKE_CXX_COMPILER} "
                      "(${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}) is none")
endif()
if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
   OR (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14))
  message(WARNING "heddle is tested with gcc 12 and clang 14; this is ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
endif()

# Whoever links a static heddle from another directory must see these targets too.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(Threads REQUIRED)
include(${CMAKE_CURRENT_LIST_DIR}/HeddleBoost.cmake)
set(heddle_boost)
if(HEDDLE_SWITCH STREQUAL "boost")
  heddle_find_boost(REQUIRED context)
  message(STATUS "Boost.Context ${Boost_VERSION}")
  set(heddle_boost Boost::context)
endif()
include(${CMAKE_CURRENT_LIST_DIR}/HeddleBacktrace.cmake)
