// SPDX-License-Identifier: BSL-1.0
#include "memory.hpp"

#include <cstring>

#include "strategy.hpp"

namespace model::detail {
namespace {

constexpr bool acquires(std::memory_order o) noexcept {
  return o == std::memory_order_acquire || o == std::memory_order_consume || o == std::memory_order_acq_rel ||
         o == std::memory_order_seq_cst;
}
constexpr bool releases(std::memory_order o) noexcept {
  return o == std::memory_order_release || o == std::memory_order_acq_rel || o == std::memory_order_seq_cst;
}
constexpr bool is_sc(std::memory_order o) noexcept { return o == std::memory_order_seq_cst; }

char* value_of(const cell* c) noexcept { return reinterpret_cast<char*>(const_cast<cell*>(c)) + sizeof(cell); }
std::uint64_t read_value(const cell* c, unsigned size) noexcept {
  std::uint64_t bits = 0;
  std::memcpy(&bits, value_of(c), size);
  return bits;
}
constexpr std::uint64_t truncate(std::uint64_t v, unsigned size) noexcept {
  return size == 8 ? v : v & ((std::uint64_t{1} << (size * 8)) - 1);
}
void forget_readers(message& m) noexcept {
  for (epoch_t& e : m.seen_at.at) e = message::never;
}

/// Counts an operation of the thread.
void advance(memory_thread& t) noexcept {
  ++t.epoch;
  t.known.happened.at[t.id] = t.epoch;
  t.known.visible.at[t.id] = t.epoch;
}

}  // namespace

std::uint64_t apply(rmw_op op, std::uint64_t old, std::uint64_t operand) noexcept {
  switch (op) {
    case rmw_op::exchange: return operand;
    case rmw_op::add: return old + operand;
    case rmw_op::sub: return old - operand;
    case rmw_op::bit_or: return old | operand;
    case rmw_op::bit_and: return old & operand;
    case rmw_op::bit_xor: return old ^ operand;
  }
  return old;
}

void memory::begin_execution(bool weak, std::uint32_t execution) noexcept {
  weak_ = weak;
  execution_ = execution;
  created_ = sc_stores_ = used_ = 0;
  fence_view_ = clock{};
  problem_ = nullptr;
  free_.clear();
}

location& memory::allocate(cell* c) {
  if (free_.empty()) {
    if (used_ == locations_.size()) locations_.emplace_back();
    c->record = used_++;
  } else {
    c->record = free_.back();
    free_.pop_back();
  }
  c->execution = execution_;
  location& l = locations_[c->record];
  l.owner = c;
  l.number = ++created_;
  l.newest = l.oldest = 0;
  std::memset(l.stale_reads, 0, sizeof l.stale_reads);
  return l;
}

void memory::create(cell* c, unsigned size, memory_thread& t) {
  advance(t);
  location& l = allocate(c);
  l.creator = t.id;
  l.created_at = t.epoch;
  message& m = l.messages[0];
  m.value = read_value(c, size);
  m.sc_number = 0;
  m.releases = m.is_rmw = false;
  forget_readers(m);
  m.seen_at.at[t.id] = t.epoch;
}

void memory::destroy(cell* c) noexcept {
  if (c->execution == execution_ && c->record < used_ && locations_[c->record].owner == c) {
    locations_[c->record].owner = nullptr;
    free_.push_back(c->record);
  }
  c->execution = cell::destroyed;
}

location* memory::find(cell* c, unsigned size, memory_thread& t) {
  if (c->execution == execution_) [[likely]] {
    if (c->record >= used_ || locations_[c->record].owner != c) {
      problem_ = "use of an atomic in memory that has been reused";
      return nullptr;
    }
    location& l = locations_[c->record];
    if (l.created_at > t.known.happened.at[l.creator]) {
      problem_ = "use of an atomic whose construction does not happen before";
      return nullptr;
    }
    return &l;
  }
  if (c->execution > execution_) {
    problem_ = c->execution == cell::destroyed ? "use of a destroyed atomic" : "use of an atomic never constructed";
    return nullptr;
  }
  // A static, or memory that is zero: known to all since before the execution.
  location& l = allocate(c);
  l.creator = 0;
  l.created_at = 0;
  message& m = l.messages[0];
  m.value = read_value(c, size);
  m.sc_number = 0;
  m.releases = m.is_rmw = false;
  m.seen_at = clock{};
  return &l;
}

std::uint32_t memory::oldest_readable(location& l, memory_thread& t, std::memory_order order) noexcept {
  // A seq_cst load may not overlook what any earlier seq_cst fence covers, nor any earlier seq_cst
  // store.
  clock view = t.known.visible;
  std::uint32_t sc_stores = t.known.sc_stores;
  if (is_sc(order)) {
    view.join(fence_view_);
    sc_stores = sc_stores_;
  }
  std::uint32_t n = l.newest;
  for (; n != l.oldest; --n) {
    const message& m = l.at(n);
    if (m.known_to(view) || (m.sc_number != 0 && m.sc_number <= sc_stores)) break;
  }
  return n;
}

std::uint32_t memory::choose_message(location& l, memory_thread& t, std::memory_order order) {
  if (l.newest == l.oldest || !weak_) return l.newest;
  std::uint8_t& stale = l.stale_reads[t.id];
  const std::uint32_t n = l.newest - oldest_readable(l, t, order) + 1;
  if (n == 1 || stale >= max_stale_reads) {
    stale = 0;
    return l.newest;
  }
  const unsigned age = chooser_.choose(choice::read, n);
  stale = static_cast<std::uint8_t>(age == 0 ? 0 : stale + 1);
  return l.newest - age;
}

std::uint64_t memory::read(message& m, memory_thread& t, std::memory_order order) noexcept {
  if (m.seen_at.at[t.id] > t.epoch) m.seen_at.at[t.id] = t.epoch;
  if (m.releases) {
    if (acquires(order)) {
      t.known.join(m.released);
    } else {
      t.read_relaxed.join(m.released);
      t.has_read_relaxed = true;
    }
  }
  return m.value;
}

std::uint64_t memory::load(location& l, memory_thread& t, std::memory_order order) {
  advance(t);
  return read(l.at(choose_message(l, t, order)), t, order);
}

message& memory::insert(location& l, std::uint32_t position, memory_thread& t, std::uint64_t value) noexcept {
  ++l.newest;
  if (l.newest - l.oldest == location::kept) ++l.oldest;
  for (std::uint32_t n = l.newest; n != position; --n) l.at(n) = l.at(n - 1);
  message& m = l.at(position);
  m.value = value;
  m.sc_number = 0;
  m.releases = m.is_rmw = false;
  forget_readers(m);
  m.seen_at.at[t.id] = t.epoch;
  return m;
}

void memory::release_into(message& m, memory_thread& t, std::memory_order order) noexcept {
  const knowledge* handed_on = releases(order) ? &t.known : t.has_fenced ? &t.fenced : nullptr;
  if (is_sc(order)) m.sc_number = ++sc_stores_;
  if (handed_on == nullptr) return;
  if (m.releases) {
    m.released.join(*handed_on);
  } else {
    m.released = *handed_on;
    m.releases = true;
  }
}

std::uint32_t memory::choose_position(location& l, memory_thread& t, std::memory_order order) {
  const std::uint32_t end = l.newest + 1;
  if (!weak_ || is_sc(order) || l.newest == l.oldest) return end;
  std::uint32_t first = oldest_readable(l, t, order) + 1;
  // A read-modify-write stays directly behind what it read, so nothing goes in between.
  for (std::uint32_t n = end - 1; n >= first; --n) {
    if (!l.at(n).is_rmw) continue;
    first = n + 1;
    break;
  }
  return first >= end ? end : end - chooser_.choose(choice::late_store, end - first + 1);
}

void memory::store(location& l, memory_thread& t, std::uint64_t value, unsigned size, std::memory_order order) {
  advance(t);
  const std::uint32_t position = choose_position(l, t, order);
  release_into(insert(l, position, t, value), t, order);
  if (position == l.newest) std::memcpy(value_of(l.owner), &value, size);
}

void memory::write_behind(location& l, memory_thread& t, std::uint64_t value, unsigned size, std::memory_order order) {
  const bool continues = l.at(l.newest).releases;  // a release sequence: its head's release is handed on
  message& m = insert(l, l.newest + 1, t, value);
  m.is_rmw = true;
  if (continues) {
    m.released = l.at(l.newest - 1).released;
    m.releases = true;
  }
  release_into(m, t, order);
  std::memcpy(value_of(l.owner), &value, size);
}

std::uint64_t memory::rmw(location& l, memory_thread& t, rmw_op op, std::uint64_t operand, unsigned size,
                          std::memory_order order) {
  advance(t);
  const std::uint64_t old = read(l.at(l.newest), t, order);
  write_behind(l, t, truncate(apply(op, old, operand), size), size, order);
  return old;
}

/// A compare_exchange that fails is a load, so it may fail on an outdated value.
std::uint32_t memory::choose_failing(location& l, memory_thread& t, std::uint64_t expected, std::memory_order order) {
  if (!weak_ || l.newest == l.oldest || l.stale_reads[t.id] >= max_stale_reads) return l.newest;
  const std::uint32_t first = oldest_readable(l, t, order);
  for (std::uint32_t n = l.newest; n-- > first;) {
    if (l.at(n).value == expected) continue;
    if (chooser_.choose(choice::stale_failure, 2) == 0) break;
    ++l.stale_reads[t.id];
    return n;
  }
  l.stale_reads[t.id] = 0;
  return l.newest;
}

bool memory::cas(location& l, memory_thread& t, std::uint64_t& expected, std::uint64_t desired, unsigned size,
                 std::memory_order success, std::memory_order failure, bool weak) {
  advance(t);
  message& read_from = l.at(choose_failing(l, t, expected, failure));
  if (read_from.value != expected || (weak && chooser_.choose(choice::weak_failure, 2) != 0)) {
    expected = read(read_from, t, failure);
    return false;
  }
  read(read_from, t, success);
  write_behind(l, t, desired, size, success);
  return true;
}

void memory::seq_cst_fence(memory_thread& t) noexcept {
  fence_view_.join(t.known.visible);
  t.known.visible = fence_view_;
  t.known.sc_stores = sc_stores_;
}

void memory::fence(memory_thread& t, std::memory_order order) noexcept {
  advance(t);
  if (acquires(order) && t.has_read_relaxed) {
    t.known.join(t.read_relaxed);
    t.read_relaxed = knowledge{};
    t.has_read_relaxed = false;
  }
  if (is_sc(order)) seq_cst_fence(t);
  if (releases(order)) {
    t.fenced = t.known;
    t.has_fenced = true;
  }
}

void memory::note_access(memory_thread& t) noexcept { advance(t); }

void memory::spawn(memory_thread& parent, memory_thread& child) noexcept {
  advance(parent);
  const epoch_t epoch = child.epoch;  // a slot used before goes on counting
  const unsigned id = child.id;
  child = memory_thread{};
  child.id = id;
  child.epoch = epoch;
  child.known = parent.known;
  advance(child);
}

void memory::join(memory_thread& joiner, const memory_thread& ended) noexcept {
  advance(joiner);
  joiner.known.join(ended.known);
}

}  // namespace model::detail
