// SPDX-License-Identifier: BSL-1.0
//
// Shared by the tests of select.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "heddle/select.hpp"
#include "support/channel_values.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace selecting {

using namespace std::chrono_literals;
using heddle::channel;
using heddle::receive_case;
using heddle::select;
using heddle::select_case;
using heddle::send_case;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::touchy;
using heddle::testing::with_crew;
using steady = std::chrono::steady_clock;

/// Channels that hold one value each, and may be received from by cases that are known at run time.
using channel_list = std::vector<std::unique_ptr<channel<int>>>;
inline channel_list make_channels(std::size_t n) {
  channel_list all;
  for (std::size_t i = 0; i < n; ++i) all.push_back(std::make_unique<channel<int>>(1));
  return all;
}

/// A case for each of them.
using case_list = std::vector<std::unique_ptr<receive_case<int>>>;
inline case_list cases_of(const channel_list& all) {
  case_list cases;
  for (const auto& c : all) cases.push_back(std::make_unique<receive_case<int>>(*c));
  return cases;
}

}  // namespace selecting
