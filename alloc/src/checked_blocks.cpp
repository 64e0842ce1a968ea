// SPDX-License-Identifier: BSL-1.0
#include "checked_blocks.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "canary.hpp"
#include "hardened.hpp"
#include "mheap.hpp"
#include "misuse.hpp"

namespace heddle::detail {

constinit std::array<checked_blocks, class_count> the_checked_blocks;

namespace {

static_assert(class_info[0].capacity <= 1024);

/// When a block is freed, so many bytes before it are looked at too.
constexpr std::size_t looked_at_before = 16;

char* block_at(const span& s, std::size_t index) noexcept { return s.start + index * s.size; }

/// Where the canary of a block ends.
char* canary_end(const span& s, char* block, std::size_t size) noexcept {
  return block + std::min(s.size, size + canary::most);
}

const char* overwritten(const span& s, char* block, std::size_t size) noexcept {
  return canary::find_damage(block, block + size, canary_end(s, block, size));
}

/// What is wrong with a block in this state, if it should be as the state says; null: nothing. `last`: so many bytes at
/// its end, at most, are looked at.
const char* find_damage(const span& s, std::size_t index, std::uint32_t word,
                        std::size_t last = ~std::size_t{}) noexcept {
  char* const block = block_at(s, index);
  last = std::min(last, s.size);
  switch (span_checks::state_of(word)) {
    case span_checks::used: return overwritten(s, block, word & span_checks::size_mask);
    case span_checks::quarantined:
    case span_checks::free: return canary::find_other(block + s.size - last, last, hardened::junk_of_freed);
    case span_checks::never: return canary::find_other(block + s.size - last, last, 0);
    default: return nullptr;
  }
}

/// The same for a block with which other threads may be at work: what they change meanwhile is no damage, and damage
/// lasts. Sets `word` to what the block was found in.
const char* find_lasting_damage(const span& s, std::size_t index, std::uint32_t& word,
                                std::size_t last = ~std::size_t{}) noexcept {
  constexpr unsigned enough = 5;
  const char* at = nullptr;
  for (unsigned looks = 0; looks != enough; ++looks) {
    if (looks != 0) platform::yield_thread();
    // acquire: so that the canary or the junk is seen that goes with it; release halves in allocate(), deallocate().
    word = s.checks->word(index).load(std::memory_order_acquire);
    at = find_damage(s, index, word, last);
    if (at == nullptr) break;
  }
  return at;
}

[[noreturn]] void report_written(const span& s, std::size_t index, std::uint32_t word, const char* at) noexcept {
  const auto state = span_checks::state_of(word);
  const char* const found = state == span_checks::used    ? "written behind the end of a block"
                            : state == span_checks::never ? "written though it was never allocated"
                                                          : "written after it was freed";
  written(found, block_at(s, index), word & span_checks::size_mask, at, &s);
}

/// Whether somebody has written before a block in use.
void look_before(const span& s, std::size_t index, std::size_t size) noexcept {
  std::uint32_t word = 0;
  const char* const at = find_lasting_damage(s, index - 1, word, looked_at_before);
  if (at == nullptr) return;
  // Or behind the one before it?
  const bool from_behind = span_checks::state_of(word) == span_checks::used &&
                           at == block_at(s, index - 1) + (word & span_checks::size_mask);
  if (from_behind) report_written(s, index - 1, word, at);
  written("written before the beginning of a block", block_at(s, index), size, at, &s);
}

/// The word of the block that begins at p, in use.
std::uint32_t word_in_use(span& s, const void* p, const char* what) noexcept {
  if (!s.begins_block(p)) misuse(what, p, &s, "no block begins there");
  const std::uint32_t word = s.checks->word(s.index_of(p)).load(std::memory_order_relaxed);
  switch (span_checks::state_of(word)) {
    case span_checks::used: return word;
    case span_checks::never: misuse(what, p, &s, "the block was never allocated");
    case span_checks::busy: misuse(what, p, &s, "another thread is freeing it");
    default: misuse(what, p, &s, "it has been freed before");
  }
}

}  // namespace

span* checked_blocks::add_span(size_class c) noexcept {
  const size_class_info& info = class_info[c];
  span_checks* k = unused_;
  if (k != nullptr)
    unused_ = k->next;
  else
    k = static_cast<span_checks*>(the_mheap.make_record(span_checks::bytes_for(info.capacity)));
  if (k == nullptr) return nullptr;
  span* const s = the_mheap.make_span(c, info.pages);
  if (s == nullptr) {
    k->next = unused_;
    unused_ = k;
    return nullptr;
  }
  k->free_count = span_checks::blocks_to_hand_out(info.capacity);
  for (std::size_t i = 0; i != k->free_bits.size(); ++i) {
    const std::size_t left = info.capacity - std::min<std::size_t>(info.capacity, i * 64);
    k->free_bits[i] = left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
  }
  if (k->free_count != info.capacity) k->free_bits[0] &= ~std::uint64_t{1};
  // Either way it shows if something is written there.
  if (!s->zeroed) std::memset(s->start, hardened::junk_of_freed, s->bytes());
  const auto state = s->zeroed ? span_checks::never : span_checks::free;
  for (std::size_t i = 0; i != info.capacity; ++i) k->word(i).store(state, std::memory_order_relaxed);
  s->checks = k;
  spans_.push_front(*s);
  return s;
}

/// The number of a free block: the next one from anywhere.
std::size_t checked_blocks::take_one(span_checks& k) noexcept {
  if (random_ == 0) random_ = canary::secret ^ reinterpret_cast<std::uintptr_t>(this);
  // Marsaglia's xorshift.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  const auto turn = static_cast<int>(random_ % 64);
  for (std::size_t i = random_ >> 32;; ++i) {
    std::uint64_t& bits = k.free_bits[i % k.free_bits.size()];
    if (bits == 0) continue;
    const int bit = (std::countr_zero(std::rotr(bits, turn)) + turn) % 64;
    bits &= ~(std::uint64_t{1} << bit);
    return i % k.free_bits.size() * 64 + static_cast<std::size_t>(bit);
  }
}

void* checked_blocks::allocate(size_class c, std::size_t alignment, std::size_t size, bool& zeroed) noexcept {
  span* s = nullptr;
  std::size_t index = 0;
  std::uint32_t before = 0;
  {
    const thread_lock hold(lock_);
    s = spans_.empty() ? add_span(c) : spans_.first();
    if (s == nullptr) return nullptr;
    index = take_one(*s->checks);
    if (--s->checks->free_count == 0) spans_.erase(*s);
    atomic<std::uint32_t>& word = s->checks->word(index);
    before = word.load(std::memory_order_relaxed);
    word.store(span_checks::busy, std::memory_order_relaxed);
  }
  if (const char* const at = find_damage(*s, index, before); at != nullptr) report_written(*s, index, before, at);
  zeroed = span_checks::state_of(before) == span_checks::never;
  char* const p = block_at(*s, index);
  canary::write(p, p + size, canary_end(*s, p, size));
  // release: so that who looks at all blocks sees the canary; acquire half in check().
  const auto power = static_cast<std::uint32_t>(std::countr_zero(alignment));
  s->checks->word(index).store(
      span_checks::used | power << span_checks::alignment_shift | static_cast<std::uint32_t>(size),
      std::memory_order_release);
  return p;
}

std::size_t checked_blocks::size_of(span& s, const void* p, const char* what) noexcept {
  return word_in_use(s, p, what) & span_checks::size_mask;
}

std::size_t checked_blocks::alignment_of(span& s, const void* p, const char* what) noexcept {
  const std::uint32_t word = word_in_use(s, p, what) - span_checks::used;
  return std::size_t{1} << (word >> span_checks::alignment_shift);
}

void checked_blocks::deallocate(span& s, void* p, const char* what) noexcept {
  std::uint32_t word = word_in_use(s, p, what);
  const std::size_t index = s.index_of(p);
  const std::uint32_t size = word & span_checks::size_mask;
  if (!s.checks->word(index).compare_exchange_strong(word, span_checks::busy | size, std::memory_order_relaxed,
                                                     std::memory_order_relaxed))
    misuse(what, p, &s, "another thread has just freed it");
  if (const char* const at = overwritten(s, static_cast<char*>(p), size); at != nullptr)
    report_written(s, index, span_checks::used | size, at);
  if (index != 0) look_before(s, index, size);
  std::memset(p, hardened::junk_of_freed, s.size);
  checked_blocks& all = the_checked_blocks[s.klass];
  const std::size_t limit = std::clamp(quarantine_bytes / s.size, quarantine_least, quarantine_most);
  damage found;
  {
    const thread_lock hold(all.lock_);
    // release: so that who looks at all blocks sees the junk; acquire half in check().
    s.checks->word(index).store(span_checks::quarantined | size, std::memory_order_release);
    if (void* const oldest = all.push(p, limit); oldest != nullptr) all.release(oldest, found);
  }
  if (found.s != nullptr) report(found);
}

/// Returns the one that has to leave for it.
void* checked_blocks::push(void* p, std::size_t limit) noexcept {
  void* oldest = nullptr;
  if (count_ == limit) {
    oldest = quarantine_[first_];
    first_ = (first_ + 1) % quarantine_most;
    --count_;
  }
  quarantine_[(first_ + count_++) % quarantine_most] = p;
  return oldest;
}

/// Makes a block free that leaves the quarantine, and gives its span back if it was the last one.
void checked_blocks::release(void* p, damage& found) noexcept {
  span& s = the_map.span_of(p);
  span_checks& k = *s.checks;
  const std::size_t index = s.index_of(p);
  atomic<std::uint32_t>& word = k.word(index);
  word.store(span_checks::free | (word.load(std::memory_order_relaxed) & span_checks::size_mask),
             std::memory_order_relaxed);
  k.free_bits[index / 64] |= std::uint64_t{1} << index % 64;
  if (k.free_count++ == 0) spans_.push_back(s);
  const bool only_one = spans_.first() == &s && s.next == nullptr;
  if (k.free_count != span_checks::blocks_to_hand_out(s.capacity) || only_one) return;
  for (std::size_t i = 0; i != s.capacity; ++i)
    if (find_damage(s, i, k.word(i).load(std::memory_order_relaxed)) != nullptr) {
      found = {&s, i};
      return;
    }
  spans_.erase(s);
  s.checks = nullptr;
  k.next = unused_;
  unused_ = &k;
  the_mheap.free_span(s);
}

void checked_blocks::report(const damage& found) noexcept {
  const std::uint32_t word = found.s->checks->word(found.index).load(std::memory_order_relaxed);
  report_written(*found.s, found.index, word, find_damage(*found.s, found.index, word));
}

void checked_blocks::check(span& s) noexcept {
  checked_blocks& all = the_checked_blocks[s.klass];
  damage found;
  {
    const thread_lock hold(all.lock_);
    if (s.checks == nullptr || &the_checked_blocks[s.klass] != &all) return;
    for (std::size_t i = 0; i != s.capacity && found.s == nullptr; ++i) {
      std::uint32_t word = 0;
      if (find_lasting_damage(s, i, word) != nullptr) found = {&s, i};
    }
  }
  if (found.s != nullptr) report(found);
}

}  // namespace heddle::detail
