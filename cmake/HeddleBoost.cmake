# SPDX-License-Identifier: BSL-1.0
#
# Where Boost is; installed beside heddle-config.cmake, which asks too.

# heddle_find_boost(QUIET|REQUIRED components...): find_package(Boost), without the warning of CMake 3.30 and newer that
# its module FindBoost is going. A macro, because find_package() sets variables.
macro(heddle_find_boost if_missing)
  unset(Boost_FOUND)
  # By the package file that Boost has had since 1.70. A place that was named for FindBoost counts here as well.
  if(NOT Boost_NO_BOOST_CMAKE)
    find_package(Boost 1.74 QUIET CONFIG COMPONENTS ${ARGN} HINTS "${BOOST_ROOT}" "$ENV{BOOST_ROOT}")
  endif()
  if(NOT Boost_FOUND)
    # By the module, for a Boost without that file; where there is none at all, CMake says what it has looked for.
    cmake_policy(PUSH)
    if(POLICY CMP0167)
      cmake_policy(SET CMP0167 OLD)
    endif()
    find_package(Boost 1.74 ${if_missing} COMPONENTS ${ARGN})
    cmake_policy(POP)
  endif()
endmacro()
