# SPDX-License-Identifier: BSL-1.0
#
# How heddle's own code is compiled, and what a module of it is.

# heddle_warnings(target): the warnings that our code is free of.
function(heddle_warnings target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wno-sign-conversion>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:Clang>>:-Wthread-safety>
    $<$<BOOL:${heddle_werror}>:-Werror>)
  if(HEDDLE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented code hides from gcc what is initialised.
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
endfunction()

# heddle_sanitize(target PUBLIC|PRIVATE): instruments the target, and with PUBLIC whoever links it in this build.
function(heddle_sanitize target scope)
  if(HEDDLE_SANITIZE)
    set(flags -fsanitize=${HEDDLE_SANITIZE} -fno-omit-frame-pointer)
    target_compile_options(${target} ${scope} $<BUILD_INTERFACE:${flags}>)
    target_link_options(${target} ${scope} $<BUILD_INTERFACE:${flags}>)
  endif()
endfunction()

# heddle_add_module(name SOURCES files...): the library heddle_<name>, alias heddle::<name>, with its headers under
# include/ and its private ones under src/. Static or shared as BUILD_SHARED_LIBS says.
function(heddle_add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 module "" "" SOURCES)
  set(target heddle_${name})
  add_library(${target} ${module_SOURCES})
  add_library(heddle::${name} ALIAS ${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    PRIVATE src)
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    INSTALL_RPATH "$ORIGIN")
  # Initial-exec: reading a thread-local costs one instruction instead of a call, and never allocates.
  # And with -frtti, whatever the project around us says: others throw and catch our exceptions, and need the objects that
  # tell their types, which are here.
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-fstack-clash-protection;-ftls-model=initial-exec;-frtti>)
  heddle_warnings(${target})
  heddle_sanitize(${target} PUBLIC)
  # Lock ranks change a layout, so whoever uses the library must agree.
  if(HEDDLE_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_definitions(${target} PUBLIC HEDDLE_LOCK_RANKS=1)
  endif()
  if(BUILD_SHARED_LIBS AND NOT HEDDLE_SANITIZE)
    # Instantiations of std templates are visible whatever the compiler is told: the linker keeps them in.
    set(map ${PROJECT_SOURCE_DIR}/cmake/heddle.map)
    target_link_options(${target} PRIVATE -Wl,--no-undefined -Wl,--version-script=${map})
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${map})
  endif()
endfunction()
