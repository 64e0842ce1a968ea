# SPDX-License-Identifier: BSL-1.0
#
# heddle_version, as version.hpp states it.

set(heddle_version_header ${CMAKE_CURRENT_LIST_DIR}/../runtime/include/heddle/version.hpp)
file(STRINGS ${heddle_version_header} heddle_version_lines REGEX "define HEDDLE_VERSION_(MAJOR|MINOR|PATCH|STRING)")
foreach(part MAJOR MINOR PATCH)
  string(REGEX MATCH "HEDDLE_VERSION_${part} ([0-9]+)" unused "${heddle_version_lines}")
  set(heddle_version_${part} ${CMAKE_MATCH_1})
endforeach()
set(heddle_version ${heddle_version_MAJOR}.${heddle_version_MINOR}.${heddle_version_PATCH})
if(NOT heddle_version_lines MATCHES "HEDDLE_VERSION_STRING \"${heddle_version}\"")
  message(FATAL_ERROR "${heddle_version_header}: HEDDLE_VERSION_STRING is not ${heddle_version}, which its other macros say")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${heddle_version_header})
