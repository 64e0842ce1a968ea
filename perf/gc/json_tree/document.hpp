// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "gc/common/random.hpp"

namespace perf::gc {

/// The text of a document, the same in all languages: groups of a hundred records each.
inline std::string make_document(std::uint64_t groups) {
  static const char* const words[] = {"warp", "weft", "shuttle", "loom", "reed", "shed", "pick", "selvage"};
  random choice(1);
  const auto word = [&] { return '"' + std::string(words[choice.below(8)]) + '"'; };
  std::string text = "[";
  for (std::uint64_t group = 0; group < groups; ++group) {
    text += group == 0 ? "[" : ",[";
    for (std::uint64_t i = 0; i < 100; ++i) {
      text += i == 0 ? "{\"id\":" : ",{\"id\":";
      // One draw a statement: the order within one is the compiler's choice.
      text += std::to_string(group * 100 + i) + ",\"name\":" + word();
      text += ",\"tags\":[" + word();
      text += ',' + word();
      text += "],\"size\":{\"width\":" + std::to_string(choice.below(1'000));
      text += ",\"height\":" + std::to_string(choice.below(1'000)) + "}}";
    }
    text += ']';
  }
  return text + ']';
}

}  // namespace perf::gc
