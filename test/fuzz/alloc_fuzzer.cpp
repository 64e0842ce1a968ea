// SPDX-License-Identifier: BSL-1.0
//
// libFuzzer chooses the calls:
//     CXX=clang++-14 cmake -B build/fuzz -G Ninja -D HEDDLE_FUZZ=ON -D CMAKE_BUILD_TYPE=RelWithDebInfo
//     ninja -C build/fuzz alloc_fuzzer && build/fuzz/test/fuzz/alloc_fuzzer -max_total_time=300 -max_len=512 CORPUS
#include "alloc_driver.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heddle::testing::alloc_driver(data, size).run();
  return 0;
}
