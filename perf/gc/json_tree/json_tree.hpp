// SPDX-License-Identifier: BSL-1.0
//
// Documents are parsed into trees whose nodes know their parents, and walked. The last two stay, older ones are
// garbage.
#pragma once

#include <cstring>
#include <string_view>

#include "common/bench.hpp"
#include "gc/json_tree/document.hpp"

namespace perf::gc {

enum class json_kind : std::uint32_t { object, array, string, number };

template <class M>
struct json_node {
  typename M::template link<json_node> first, next;
  typename M::template back<json_node> parent;
  typename M::template array_link<char> key, text;  // each ends with zero; none: empty
  json_kind kind = json_kind::array;
  std::uint32_t number = 0;
};

/// Of just what documents have: no white space, no escapes, numbers without a sign.
template <class M>
class json_parser {
  using node = json_node<M>;
  using hold = typename M::template hold<node>;

 public:
  explicit json_parser(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  hold value(node* parent) {
    hold made = M::template make<node>();
    node* const one = M::at(made);
    one->parent = parent;
    switch (peek()) {
      case '{':
        one->kind = json_kind::object;
        members(one, '}');
        break;
      case '[':
        one->kind = json_kind::array;
        members(one, ']');
        break;
      case '"':
        one->kind = json_kind::string;
        one->text = string();
        break;
      default: one->kind = json_kind::number; one->number = number();
    }
    return made;
  }

  bool at_end() const { return at_ == end_; }

 private:
  char peek() const {
    require(at_ < end_, "the document ends too early");
    return *at_;
  }
  void expect(char c) {
    require(peek() == c, "the document has something else than was to be expected");
    ++at_;
  }

  void members(node* parent, char end) {
    ++at_;
    node* last = nullptr;
    while (peek() != end) {
      if (last != nullptr) expect(',');
      typename M::template array_link<char> key{};
      if (parent->kind == json_kind::object) {
        key = string();
        expect(':');
      }
      hold made = value(parent);
      node* const one = M::at(made);
      one->key = std::move(key);
      (last == nullptr ? parent->first : last->next) = std::move(made);
      last = one;
    }
    ++at_;
  }

  auto string() {
    expect('"');
    const char* const begin = at_;
    while (peek() != '"') ++at_;
    const auto size = static_cast<std::size_t>(at_++ - begin);
    auto made = M::template make_array<char>(size + 1);
    std::memcpy(&made[0], begin, size);
    made[static_cast<std::ptrdiff_t>(size)] = 0;
    return made;
  }

  std::uint32_t number() {
    std::uint32_t made = 0;
    require(peek() >= '0' && peek() <= '9', "the document has no number where one was to be expected");
    for (; peek() >= '0' && peek() <= '9'; ++at_) made = made * 10 + static_cast<std::uint32_t>(*at_ - '0');
    return made;
  }

  const char* at_;
  const char* end_;
};

struct walked {
  std::uint64_t nodes = 0, numbers = 0, letters = 0;
};

template <class M>
void walk(const json_node<M>* one, const json_node<M>* parent, walked& so_far) {
  require(M::at(one->parent) == parent, "a node has another parent");
  ++so_far.nodes;
  so_far.numbers += one->number;
  if (M::at(one->text) != nullptr) so_far.letters += std::strlen(M::at(one->text));
  for (const json_node<M>* child = M::at(one->first); child != nullptr; child = M::at(child->next)) {
    walk<M>(child, one, so_far);
  }
}

template <class M>
void free_json(json_node<M>* one) {
  if constexpr (M::by_hand) {
    while (one != nullptr) {
      json_node<M>* const next = one->next;
      free_json<M>(one->first);
      M::release_array(one->key);
      M::release_array(one->text);
      M::release(one);
      one = next;
    }
  }
}

/// The root of the document.
template <class M>
typename M::template hold<json_node<M>> parse(std::string_view text) {
  json_parser<M> parser(text);
  auto root = parser.value(nullptr);
  require(parser.at_end(), "the document goes on behind its end");
  return root;
}

template <class M>
void measure_documents(const arguments& args, report& to) {
  const std::string text = make_document(args["groups"]);
  auto kept = M::template make_array<typename M::template link<json_node<M>>>(2);
  double parsing = 0, walking = 0;
  walked all;
  for (std::uint64_t i = 0; i < args["documents"]; ++i) {
    parsing += timed([&] {
      auto root = parse<M>(text);
      free_json<M>(M::at(kept[i % 2]));
      kept[i % 2] = std::move(root);
    });
    walking += timed([&] { walk<M>(M::at(kept[i % 2]), nullptr, all); });
  }
  require(all.nodes == args["documents"] * (1 + args["groups"] * 901), "a node was lost");
  to.add("parse_ns", parsing / static_cast<double>(all.nodes));
  to.add("walk_ns", walking / static_cast<double>(all.nodes));
  free_json<M>(M::at(kept[0]));
  free_json<M>(M::at(kept[1]));
  M::release_array(kept);
}

template <class M>
int json_tree(int argc, char** argv) {
  const arguments args(argc, argv, {{"groups", 1'000}, {"documents", 8}});
  require(args["groups"] > 0 && args["documents"] > 0, "--groups and --documents must be at least 1");
  report report;
  M::run(args, [&] { measure_documents<M>(args, report); });
  report.print();
  return 0;
}

}  // namespace perf::gc
