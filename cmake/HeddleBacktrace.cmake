# SPDX-License-Identifier: BSL-1.0
#
# heddle_backtrace: the library with libbacktrace, by which reports find files and lines, or nothing: reports do without.
# Where it is not packaged alone (Debian 12), the shared library of Boost.Stacktrace's backend `backtrace` contains it.

set(heddle_backtrace)
if(NOT HEDDLE_BACKTRACE STREQUAL "OFF")
  find_library(HEDDLE_BACKTRACE_LIBRARY NAMES backtrace boost_stacktrace_backtrace
               DOC "libbacktrace, or a shared library that contains it")
  mark_as_advanced(HEDDLE_BACKTRACE_LIBRARY)
  if(HEDDLE_BACKTRACE_LIBRARY)
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES ${HEDDLE_BACKTRACE_LIBRARY})
    check_cxx_source_compiles([[
      extern "C" void* backtrace_create_state(const char*, int, void (*)(void*, const char*, int), void*);
      int main() { return backtrace_create_state(nullptr, 0, nullptr, nullptr) == nullptr; }
    ]] HEDDLE_BACKTRACE_LINKS)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(HEDDLE_BACKTRACE_LINKS)
      # By its name where the linker looks by itself: what is installed may be used on another machine.
      set(heddle_backtrace ${HEDDLE_BACKTRACE_LIBRARY})
      get_filename_component(directory ${heddle_backtrace} DIRECTORY)
      if(directory IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
        get_filename_component(heddle_backtrace ${heddle_backtrace} NAME_WE)
        string(REGEX REPLACE "^lib" "-l" heddle_backtrace ${heddle_backtrace})
      endif()
    endif()
  endif()
  if(NOT heddle_backtrace)
    set(heddle_no_backtrace "libbacktrace was not found (Debian: libboost-stacktrace-dev, which contains it)")
    if(HEDDLE_BACKTRACE STREQUAL "ON")
      message(FATAL_ERROR "HEDDLE_BACKTRACE is ON, but ${heddle_no_backtrace}")
    endif()
    heddle_left_out("files and lines in reports" "${heddle_no_backtrace}")
  endif()
endif()
