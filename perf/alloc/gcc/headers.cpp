// SPDX-License-Identifier: BSL-1.0
//
// Work for a compiler: much of std and Boost, and templates that are used.
#include <algorithm>
#include <any>
#include <array>
#include <atomic>
#include <boost/algorithm/string.hpp>
#include <boost/container/flat_map.hpp>
#include <chrono>
#include <complex>
#include <deque>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <queue>
#include <random>
#include <ranges>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace {

struct person {
  int id;
  std::string name;
};

using people = boost::container::flat_map<int, person>;

template <int N>
struct cell {
  std::map<std::string, std::array<char, N + 1>> values;
  std::unordered_map<int, std::vector<std::tuple<int, std::string, cell<N - 1>>>> below;
  std::variant<int, std::string, std::array<double, N + 1>> choice;

  std::size_t count() const {
    std::size_t sum = values.size();
    for (const auto& [key, list] : below) {
      for (const auto& one : list) sum += std::get<2>(one).count();
    }
    return sum + std::visit([](const auto& value) { return sizeof value; }, choice);
  }
};
template <>
struct cell<0> {
  std::size_t count() const { return 1; }
};

std::vector<int> numbers(const std::string& text) {
  std::vector<std::string> parts;
  boost::split(parts, text, boost::is_any_of(","));
  std::vector<int> found;
  for (const auto& part : parts) found.push_back(std::stoi(part));
  return found;
}

}  // namespace

std::size_t everything(const std::string& text) {
  people all;
  for (const int number : numbers(text)) all[number] = {number, std::to_string(number)};
  std::size_t sum = all.size() + cell<4>{}.count();
  auto squares = numbers(text) | std::views::transform([](int n) { return n * n; }) |
                 std::views::filter([](int n) { return n % 2 == 0; });
  for (const int square : squares) sum += static_cast<std::size_t>(square);
  return sum;
}
