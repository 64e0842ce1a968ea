// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>

#include "heddle/gc.hpp"
#include "heddle/mutex.hpp"

namespace examples {

/// A directed graph that a thousand fibers read and change at a time; who reads takes no lock.
///
///     auto graph = gc::make<examples::graph_store>();
///     graph->connect(1, 2);
///     heddle::go([=] { serve(graph->reachable(1, 3)); });
///
/// The edges of a vertex are a list that never changes: a change makes a new one and puts it in the place of the old by
/// a compare-and-swap. Who walks along the old list walks on; the collector takes it when the last has left. That is
/// read-copy- update, without anything that readers would have to announce.
///
/// A walk sees each vertex as it is when it comes there, not the whole graph as it was at one time.
class graph_store {
 public:
  using id = std::uint64_t;

  /// Puts an edge between two vertices, which are made if there are none. False: there is one. O(edges of `from`).
  bool connect(id from, id to) {
    const heddle::gc::ptr<vertex> target = vertex_of(to);
    return change(*vertex_of(from), [&](heddle::gc::vector<heddle::gc::ptr<vertex>>& edges) {
      if (std::ranges::find(edges, target.get(), &heddle::gc::ptr<vertex>::get) != edges.end()) return false;
      edges.push_back(target);
      return true;
    });
  }
  /// False: there was none.
  bool disconnect(id from, id to) {
    return change(*vertex_of(from), [&](heddle::gc::vector<heddle::gc::ptr<vertex>>& edges) {
      return erase_if(edges, [&](const heddle::gc::ptr<vertex>& v) { return v->name == to; }) != 0;
    });
  }
  /// Takes a vertex out of the store. Walks that have come to it go on; edges to it lead to it still, until they are
  /// taken away: then it dies, with all that only it led to.
  bool forget(id name) {
    const std::lock_guard lock(mutex_);
    return vertices_.erase(name) != 0;
  }

  /// How many vertices can be reached from one, itself included, up to `most`. O(their edges).
  std::size_t reachable(id from, std::size_t most) {
    heddle::gc::hash_map<heddle::gc::ptr<vertex>, bool> seen;
    heddle::gc::vector<heddle::gc::ptr<vertex>> to_visit{vertex_of(from)};
    seen[to_visit.front()] = true;
    while (!to_visit.empty() && seen.size() < most) {
      const heddle::gc::ptr<vertex> v = to_visit.back();
      to_visit.pop_back();
      const heddle::gc::ptr<const edge_list> edges = v->edges.load();
      if (edges == nullptr) continue;
      for (const heddle::gc::ptr<vertex>& next : edges->to)
        if (seen.insert({next, true}).second) to_visit.push_back(next);
    }
    return std::min(seen.size(), most);
  }

 private:
  struct vertex;
  struct edge_list {
    heddle::gc::vector<heddle::gc::ptr<vertex>> to;
  };
  struct vertex {
    id name = 0;
    heddle::gc::atomic<heddle::gc::ptr<const edge_list>> edges;
  };

  heddle::gc::ptr<vertex> vertex_of(id name) {
    const std::lock_guard lock(mutex_);
    heddle::gc::ptr<vertex>& v = vertices_[name];
    if (v == nullptr) v = heddle::gc::make<vertex>(name);
    return v;
  }
  /// f changes a copy of the edges; false: there is nothing to change.
  template <class F>
  bool change(vertex& v, const F& f) {
    heddle::gc::ptr<const edge_list> old = v.edges.load();
    for (;;) {
      const heddle::gc::ptr<edge_list> changed = heddle::gc::make<edge_list>();
      if (old != nullptr) changed->to = old->to;
      if (!f(changed->to)) return false;
      if (v.edges.compare_exchange_weak(old, changed)) return true;
    }
  }

  heddle::mutex mutex_;  // of vertices_ only
  heddle::gc::hash_map<id, heddle::gc::ptr<vertex>> vertices_;
};

}  // namespace examples
