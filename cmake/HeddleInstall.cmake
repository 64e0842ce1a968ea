# SPDX-License-Identifier: BSL-1.0
#
# `cmake --install`: libraries, headers, heddle-config.cmake and heddle.pc. Nothing installed names the prefix,
# so the tree may be moved.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(heddle_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/heddle)

foreach(folder alloc runtime sync runtime/net gc)
  get_filename_component(module ${folder} NAME)
  target_include_directories(heddle_${module} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}/include/heddle DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          FILES_MATCHING PATTERN "*.hpp")
endforeach()
install(TARGETS heddle heddle_alloc heddle_runtime heddle_sync heddle_net heddle_gc EXPORT heddle-targets)
if(TARGET heddle_segmented)
  install(TARGETS heddle_segmented EXPORT heddle-targets)
  install(PROGRAMS ${PROJECT_SOURCE_DIR}/runtime/segmented/as DESTINATION ${heddle_assembler_dir})
  install(FILES ${PROJECT_SOURCE_DIR}/runtime/segmented/foreign_x86_64.S DESTINATION ${heddle_assembler_dir})
endif()
if(TARGET heddle_malloc)
  install(TARGETS heddle_malloc heddle_malloc_launcher
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET heddle_blocking_calls_static)
  install(TARGETS heddle_blocking_calls_static EXPORT heddle-targets)
  install(TARGETS heddle_blocking_calls_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(EXPORT heddle-targets NAMESPACE heddle:: DESTINATION ${heddle_cmake_dir})
if(TARGET heddle_asio)
  # Apart from the others, since it alone needs the headers of Boost.
  target_include_directories(heddle_asio INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(TARGETS heddle_asio EXPORT heddle-asio-targets)
  install(EXPORT heddle-asio-targets NAMESPACE heddle:: DESTINATION ${heddle_cmake_dir})
endif()
if(TARGET heddle_tls)
  # Apart, too, since it alone needs OpenSSL.
  target_include_directories(heddle_tls INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(TARGETS heddle_tls EXPORT heddle-tls-targets)
  install(EXPORT heddle-tls-targets NAMESPACE heddle:: DESTINATION ${heddle_cmake_dir})
endif()

# gdb loads a script by itself from below its own data directory, under the library's full name; a moved tree or a static
# library wants `source <prefix>/share/heddle/heddle-gdb.py`.
set(heddle_gdb_script ${PROJECT_SOURCE_DIR}/runtime/gdb/heddle-gdb.py)
install(FILES ${heddle_gdb_script} DESTINATION ${CMAKE_INSTALL_DATADIR}/heddle)
if(BUILD_SHARED_LIBS)
  install(FILES ${heddle_gdb_script} DESTINATION ${CMAKE_INSTALL_DATADIR}/gdb/auto-load${CMAKE_INSTALL_FULL_LIBDIR}
          RENAME libheddle_runtime.so.${PROJECT_VERSION}-gdb.py)
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/heddle-config.cmake.in heddle-config.cmake
  INSTALL_DESTINATION ${heddle_cmake_dir} NO_SET_AND_CHECK_MACRO)
# Until 1.0 a minor version may break what the one before promised.
write_basic_package_version_file(heddle-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/heddle-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/heddle-config-version.cmake
        ${CMAKE_CURRENT_LIST_DIR}/HeddleBoost.cmake DESTINATION ${heddle_cmake_dir})

# heddle.pc finds the prefix from where it lies. A static heddle leaves its own needs to the program's link.
file(RELATIVE_PATH heddle_pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" heddle_pc_prefix "${heddle_pc_prefix}")
file(RELATIVE_PATH heddle_pc_libdir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH heddle_pc_includedir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
get_target_property(heddle_pc_definitions heddle_runtime INTERFACE_COMPILE_DEFINITIONS)
string(REGEX REPLACE "(^|;)([^;]+)" " -D\\2" heddle_pc_definitions "${heddle_pc_definitions}")
if(heddle_pc_definitions MATCHES "NOTFOUND")
  set(heddle_pc_definitions "")
endif()
set(heddle_pc_needs "-pthread")
if(heddle_boost)
  string(PREPEND heddle_pc_needs "-lboost_context ")
  # Named only where the linker would not look by itself.
  get_target_property(heddle_boost_file ${heddle_boost} LOCATION)
  get_filename_component(heddle_boost_dir "${heddle_boost_file}" DIRECTORY)
  if(NOT heddle_boost_dir IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    string(PREPEND heddle_pc_needs "-L${heddle_boost_dir} ")
  endif()
endif()
if(heddle_backtrace)
  string(PREPEND heddle_pc_needs "${heddle_backtrace} ")
endif()
if(BUILD_SHARED_LIBS)
  set(heddle_pc_public_needs "")
else()
  set(heddle_pc_public_needs " ${heddle_pc_needs}")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/heddle.pc.in heddle.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/heddle.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET heddle_tls)
  set(heddle_pc_tls_needs "Requires")
  if(BUILD_SHARED_LIBS)
    set(heddle_pc_tls_needs "Requires.private")
  endif()
  configure_file(${CMAKE_CURRENT_LIST_DIR}/heddle-tls.pc.in heddle-tls.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/heddle-tls.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
