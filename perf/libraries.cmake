# SPDX-License-Identifier: BSL-1.0
#
# C libraries on fibers: `perf_libraries` builds all of it. Their servers are the distribution's, by test/net/servers/with.

add_custom_target(perf_libraries)

# heddle once more without heddle::blocking_calls: what the library is for.
function(add_library_contenders library header)
  find_path(HEDDLE_${library}_INCLUDE ${header} PATH_SUFFIXES postgresql)
  string(REGEX REPLACE "^lib" "" name ${library})
  find_library(HEDDLE_${library}_LIBRARY ${name})
  mark_as_advanced(HEDDLE_${library}_INCLUDE HEDDLE_${library}_LIBRARY)
  if(NOT HEDDLE_${library}_INCLUDE OR NOT HEDDLE_${library}_LIBRARY)
    heddle_left_out("perf: ${library} on fibers" "it was not found")
    return()
  endif()
  add_cpp_contender(libraries/${library} heddle heddle::blocking_calls)
  add_cpp_contender(libraries/${library} std_thread)
  add_executable(perf_libraries_${library}_heddle_alone libraries/${library}/heddle.cpp)
  set_target_properties(perf_libraries_${library}_heddle_alone PROPERTIES OUTPUT_NAME heddle_alone
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/libraries/${library})
  target_include_directories(perf_libraries_${library}_heddle_alone PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(perf_libraries_${library}_heddle_alone PRIVATE heddle::heddle)
  foreach(contender heddle heddle_alone std_thread)
    set(target perf_libraries_${library}_${contender})
    target_include_directories(${target} SYSTEM PRIVATE ${HEDDLE_${library}_INCLUDE})
    target_link_libraries(${target} PRIVATE ${HEDDLE_${library}_LIBRARY})
    target_compile_options(${target} PRIVATE -Wall -Wextra)
    add_dependencies(perf_libraries ${target})
  endforeach()
endfunction()

if(TARGET heddle::blocking_calls)
  add_library_contenders(libpq libpq-fe.h)
  add_library_contenders(hiredis hiredis/hiredis.h)
endif()
