# SPDX-License-Identifier: BSL-1.0
#
# A program with the whole of the runtime inside, as those get it who compile with -flto.

# heddle_add_whole(target sources...): one executable of the sources and of heddle's own, without sync; not part of `all`.
function(heddle_add_whole target)
  add_executable(${target} EXCLUDE_FROM_ALL ${ARGN})
  foreach(module heddle_alloc heddle_runtime)
    get_target_property(folder ${module} SOURCE_DIR)
    get_target_property(sources ${module} SOURCES)
    list(TRANSFORM sources PREPEND ${folder}/)
    target_sources(${target} PRIVATE ${sources})
    target_include_directories(${target} PRIVATE ${folder}/include ${folder}/src)
    target_compile_definitions(${target} PRIVATE $<TARGET_PROPERTY:${module},COMPILE_DEFINITIONS>)
  endforeach()
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_link_libraries(${target} PRIVATE Threads::Threads ${heddle_boost})
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  heddle_warnings(${target})
endfunction()

# heddle_add_whole_tests(name target SOURCES sources... LABELS labels... [TIMEOUT seconds]): builds the target and
# runs it as the tests <name>.<compiler>.lto, with each compiler that is there, in builds of their own.
function(heddle_add_whole_tests name target)
  cmake_parse_arguments(PARSE_ARGV 2 whole "" "TIMEOUT" "SOURCES;LABELS")
  heddle_add_whole(${target} ${whole_SOURCES})
  find_program(HEDDLE_GCC g++)
  set(clangs clang++)
  foreach(version RANGE 14 29)
    list(APPEND clangs clang++-${version})
  endforeach()
  find_program(HEDDLE_CLANG NAMES ${clangs})
  mark_as_advanced(HEDDLE_GCC HEDDLE_CLANG)
  foreach(compiler GCC CLANG)
    if(NOT HEDDLE_${compiler})
      heddle_left_out("the test ${name} with ${compiler}" "it is not installed")
      continue()
    endif()
    string(TOLOWER ${name}.${compiler}.lto test)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${test})
    add_test(NAME ${test} COMMAND ${CMAKE_CTEST_COMMAND}
      --build-and-test ${PROJECT_SOURCE_DIR} ${folder}
      --build-generator ${CMAKE_GENERATOR} --build-target ${target} --build-noclean
      --build-options -D CMAKE_CXX_COMPILER=${HEDDLE_${compiler}} -D CMAKE_BUILD_TYPE=Release
        "-DCMAKE_CXX_FLAGS=-O3 -flto" -D HEDDLE_SWITCH=${HEDDLE_SWITCH} -D HEDDLE_WERROR=${HEDDLE_WERROR}
      --test-command ${folder}/test/${target} --log_level=test_suite)
    set_tests_properties(${test} PROPERTIES LABELS "${whole_LABELS}" TIMEOUT "${whole_TIMEOUT}")
  endforeach()
endfunction()
