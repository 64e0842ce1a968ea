# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# cmake configures a project: the build files must be the same.
packages='cmake g++ ninja-build'
processes='cmake ninja'

prepare() {
  mkdir "$shared/project"
  echo 'int main() { return 0; }' >"$shared/project/main.cpp"
  {
    echo 'cmake_minimum_required(VERSION 3.20)'
    echo 'project(many LANGUAGES C CXX)'
    echo 'include(CheckIncludeFileCXX)'
    echo 'check_include_file_cxx(vector HAS_VECTOR)'
    echo 'find_package(Threads REQUIRED)'
    for ((i = 0; i < $([[ -n $quick ]] && echo 50 || echo 500); ++i)); do
      echo "add_executable(program$i main.cpp)"
      echo "target_link_libraries(program$i PRIVATE Threads::Threads)"
    done
  } >"$shared/project/CMakeLists.txt"
}

work() {
  cmake -G Ninja -S "$shared/project" -B build >/dev/null
  ninja -C build program0 >/dev/null
  sed -n '/^build /p' build/build.ninja
  rm -rf build
}
