// SPDX-License-Identifier: BSL-1.0
//
// libFuzzer writes requests:
//     CXX=clang++-14 cmake -B build/fuzz -G Ninja -D HEDDLE_FUZZ=ON -D CMAKE_BUILD_TYPE=RelWithDebInfo
//     ninja -C build/fuzz http_fuzzer && build/fuzz/test/fuzz/http_fuzzer -max_total_time=300 -max_len=2000 CORPUS
#include "http_driver.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heddle::testing::serve_cut(data, size);
  return 0;
}
