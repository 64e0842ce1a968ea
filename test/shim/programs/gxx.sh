# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# g++ compiles a large C++ file: the object must be the same byte for byte.
packages='g++' # and Boost, which heddle's tests need anyway
processes='cc1plus as'

prepare() {
  cat >"$shared/large.cpp" <<'END'
#include <boost/multi_index_container.hpp>
#include <boost/multi_index/ordered_index.hpp>
#include <boost/multi_index/hashed_index.hpp>
#include <boost/multi_index/member.hpp>
#include <boost/spirit/include/qi.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <unordered_map>
namespace mi = boost::multi_index;
struct employee { int id; std::string name; };
using employees = mi::multi_index_container<employee, mi::indexed_by<
    mi::ordered_unique<mi::member<employee, int, &employee::id>>,
    mi::hashed_non_unique<mi::member<employee, std::string, &employee::name>>>>;
int main() {
  employees all;
  for (int i = 0; i != 10; ++i) all.insert({i, std::to_string(i)});
  namespace qi = boost::spirit::qi;
  std::vector<double> numbers;
  std::string text = "1,2,3.5,4";
  auto first = text.begin();
  qi::phrase_parse(first, text.end(), qi::double_ % ',', qi::space, numbers);
  std::unordered_map<std::string, std::map<int, std::function<int(int)>>> table;
  for (double d : numbers) table[std::to_string(d)][int(d)] = [d](int i) { return i + int(d); };
  std::cout << all.size() << std::regex_replace(text, std::regex("[0-9]+"), "n") << table.size() << '\n';
}
END
}

work() {
  g++ -std=c++20 -O2 ${quick:+-O0} -g -c "$shared/large.cpp" -o large.o
}
