// SPDX-License-Identifier: BSL-1.0
#include "alloc_driver.hpp"

#include <sys/mman.h>

#include <memory>
#include <new>
#include <thread>

#include "blocks.hpp"
#include "canary.hpp"
#include "collected_blocks.hpp"
#include "fresh_heap.hpp"
#include "hardened.hpp"
#include "heddle/alloc.hpp"
#include "heddle/heap_profile.hpp"
#include "kernel.hpp"
#include "mcentral.hpp"
#include "scavenger.hpp"
#include "thread_cache.hpp"

namespace heddle::testing {

namespace {

constexpr std::size_t absurd = std::size_t{1} << 47;
constexpr std::size_t tabled_classes = detail::class_for(32'768);
constexpr std::size_t small_space = std::size_t{64} << 20;

}  // namespace

alloc_driver::~alloc_driver() = default;

std::size_t alloc_driver::run() {
  const std::uint8_t choice = byte();
  detail::alloc_options options;
  options.scavenger = detail::scavenging::off;  // the scavenger goes by the clock; give_back() has it step
  options.zero = choice % 8 == 4 || choice % 16 == 7;
  options.junk = choice % 8 == 5 || choice % 16 == 15;
  options.hardened = choice % 8 >= 6;
  options.pages = choice % 64 == 32   ? detail::huge_pages::never
                  : choice % 64 == 33 ? detail::huge_pages::always
                                      : detail::huge_pages::as_the_system_says;
  plain_ = choice % 8 < 4;
  hardened_ = options.hardened;
  small_ = choice >= 192;
  const fresh_heap heap(options, small_ ? small_space : SIZE_MAX);
  // With options a thread keeps its cache where only its end can take it from.
  if (plain_)
    run_calls();
  else
    std::thread([this] { run_calls(); }).join();
  if (!over_) end_run();
  blocks_.forget();
  for (shadow& of_kind : collected_) of_kind.forget();
  pieces_.forget();
  return calls_;
}

void alloc_driver::run_calls() {
  arena_.emplace(1024);
  while (at_ != end_ && !over_ && calls_ < most_calls) step();
  if (over_) return void(std::construct_at(&arena_));  // it is not to give anything back
  kernel::instance().refuse(0, 0);
  alloc::set_limit(0);
  if (plain_) switch_to(0);
  reset_arena();
  arena_.reset();
  while (!blocks_.empty()) free(blocks_.count() - 1);
  for (shadow& of_kind : collected_)
    while (!of_kind.empty()) free_collected(of_kind, of_kind.count() - 1);
}

/// All threads end, and nothing may be left.
void alloc_driver::end_run() {
  using namespace detail;
  for (std::size_t i = 0; plain_ && i != caches_.size(); ++i) {
    switch_to(i);
    end_thread();
  }
  alloc::profile::stop();
  the_scavenger.release_all();
  if (hardened_) {
    hardened::check_all();
  } else if (kernel::instance().refusals() == 0) {
    const mheap_figures f = the_mheap.figures();
    require(f.huge == 0, "no huge block is left at the end");
    require(f.in_spans == 0, "no span is left at the end");
    require(f.idle_resident == 0, "no free page has memory after a release");
  }
}

void alloc_driver::step() {
  const std::size_t refused_before = refused_before_ = kernel::instance().refusals();
  const std::size_t held_before = alloc::limit() != 0 ? held() : 0;
  call(byte());
  refused_before_ = refused_before;  // a thread's calls are steps too
  if (alloc::limit() != 0) check_limit(held_before);
}

void alloc_driver::call(std::uint8_t what) {
  switch (what % 32) {
    case 0:
    case 1:
    case 2: return allocate();
    case 3:
    case 4:
    case 5: return allocate_many();
    case 6: return allocate_zeroed();
    case 7:
    case 8: return allocate_aligned();
    case 9:
    case 10:
    case 11: return reallocate();
    case 12:
    case 13:
    case 14: return free_one();
    case 15:
    case 16:
    case 17:
    case 18: return free_many();
    case 19: return free_sized(false);
    case 20: return free_sized(true);
    case 21:
    case 22:
    case 23: return change_thread();
    case 24: return real_thread();
    case 25: return give_back();
    case 26: return set_limit();
    case 27: return profile();
    case 28: return what < 128 ? use_arena() : allocate_collected();
    case 29: return what < 128 ? reset_arena() : free_collected();
    case 30: return what < 128 ? look() : misuse();
    default: return what < 224 ? kernel::instance().refuse(byte() % 16, 1u + byte() % 8) : obstruct();
  }
}

// --- allocating -----------------------------------------------------------------------------------------------------

/// Any magnitude up to 64 MiB; large ones seldom, and none any more when much memory has been touched for the first
/// time or written by the allocator, which is what takes time.
std::size_t alloc_driver::size() {
  const std::uint8_t kind = byte();
  const std::size_t n = word();
  if (kind < 96 || written_ > most_written) return n % 1'100;
  if (kind < 160)
    return detail::class_info[n % (plain_ ? detail::class_count : tabled_classes)].size - 1 + (n >> 8) % 3;
  if (kind < 200) return n;
  // With options all of a block is written, unless it is huge and zeroed anyway.
  if (kind < 244) return plain_ ? n * 19 : n;
  if (kind < 253) return plain_ ? n * 128 : n * 5;
  if (kind == 253) return plain_ ? n << 10 : detail::the_options.junk ? n : n << 10 | detail::mheap::huge_limit;
  return kind == 254 ? n << 50 : 0;
}

bool alloc_driver::admits(std::size_t n) const {
  return blocks_.count() < most_blocks && (n >= absurd || blocks_.bytes() + n <= most_bytes);
}

void alloc_driver::allocate() {
  const std::size_t n = size();
  if (admits(n)) insert(alloc::allocate(n, std::nothrow), n, 16);
}

void alloc_driver::allocate_many() {
  const std::size_t n = size();
  const std::size_t most = n <= 1'024 ? 256 : n <= 32'768 ? 16 : 4;
  const std::size_t count = 1 + byte() % most;
  for (std::size_t i = 0; i != count && admits(n); ++i) insert(alloc::allocate(n, std::nothrow), n, 16);
}

void alloc_driver::allocate_zeroed() {
  const std::size_t n = size();
  if (!admits(n)) return;
  void* const p = alloc::allocate_zeroed(n, std::nothrow);
  const auto* const from = static_cast<const unsigned char*>(p);
  require(p == nullptr || is_filled(from, from + n, 0), "zeroed memory is zero");
  ++calls_;
  if (p == nullptr) return require_reason(n, 16);
  require(reinterpret_cast<std::uintptr_t>(p) % 16 == 0, "blocks are aligned");
  written_ += n;
  blocks_.add(p, alloc::usable_size(p), n);
}

void alloc_driver::allocate_aligned() {
  const std::size_t alignment = std::size_t{1} << byte() % 27;
  const std::size_t n = size();
  if (admits(n))
    insert(alloc::allocate(n, std::align_val_t{alignment}, std::nothrow), n, std::max<std::size_t>(alignment, 16));
}

/// Takes a new block in, of which `n` bytes were asked for.
void alloc_driver::insert(void* memory, std::size_t n, std::size_t alignment) {
  ++calls_;
  if (memory == nullptr) return require_reason(n, alignment);
  const std::size_t usable = alloc::usable_size(memory);
  require(reinterpret_cast<std::uintptr_t>(memory) % alignment == 0, "blocks are aligned");
  require(usable >= n, "a block has the size that was asked for");
  if (alignment == 16) require(profiled_ || usable == alloc::good_size(n), "a block has its good size");
  const auto* const p = static_cast<const unsigned char*>(memory);
  require_filled(p, p + (hardened_ ? n : usable));
  note_written(usable);
  blocks_.add(memory, usable, alignment == 16 ? n : usable);
}

/// By the allocator or the record.
void alloc_driver::note_written(std::size_t size) {
  const bool whole = !plain_ && size < detail::mheap::huge_limit;
  written_ += whole ? size : std::min(size, block::most_pages * 4'096);
}

/// There must be one why a block was not to be had.
void alloc_driver::require_reason(std::size_t n, std::size_t alignment) const {
  if (kernel::instance().refusals() != refused_before_ || n >= absurd / 2 || small_) return;
  const detail::mheap_figures f = detail::the_mheap.figures();
  const std::size_t slack = std::size_t{256} << 10;  // a span of its class, alignment within
  require(alloc::limit() != 0 && f.in_spans + f.huge + n + alignment + slack > alloc::limit(), "there is memory");
}

void alloc_driver::require_filled(const unsigned char* from, const unsigned char* to) const {
  const detail::alloc_options& o = detail::the_options;
  if (o.zero) require(is_filled(from, to, 0), "the option zero zeroes");
  if (o.junk && !o.zero) require(is_filled(from, to, 0xa5), "the option junk fills");
}

void alloc_driver::reallocate() {
  const std::size_t n = size();
  if (blocks_.empty() || !admits(n)) return;
  const std::size_t i = pick();
  const block before = blocks_[i];
  ++calls_;
  auto* const q = static_cast<unsigned char*>(alloc::reallocate(before.start, n, std::nothrow));
  if (q == nullptr) return require_reason(n, 16);
  blocks_.remove(i);
  const std::size_t usable = alloc::usable_size(q);
  require(usable >= n, "a block has the size that it was resized to");
  require(before.is_signed(q, std::min({before.size, n, usable})), "realloc keeps the contents");
  require_filled(q + std::min(before.size, usable), q + usable);
  if (q != before.start) written_ += std::min(before.size, usable);
  note_written(usable);
  // Its class need not be the one for n bytes, as with an alignment.
  blocks_.add(q, usable, usable);
}

// --- freeing --------------------------------------------------------------------------------------------------------

void alloc_driver::free(std::size_t i) {
  ++calls_;
  const block b = blocks_.remove(i);
  require(alloc::usable_size(b.start) == b.size, "the usable size stays");
  require(b.is_signed(b.start, b.size), "contents stay");
  alloc::deallocate(b.start);
}

void alloc_driver::free_one() {
  if (!blocks_.empty()) free(pick());
}

void alloc_driver::free_many() {
  if (blocks_.empty()) return;
  const std::uint8_t how = byte();
  if (how % 4 == 0) {  // the newest first
    for (std::size_t n = 1u + how; n != 0 && !blocks_.empty(); --n) free(blocks_.count() - 1);
  } else if (how % 4 == 1) {  // from all over
    std::size_t at = pick();
    for (std::size_t n = 1u + how; n != 0 && !blocks_.empty(); --n) free(at = (at + 7) % blocks_.count());
  } else {  // of one size, all or most of them
    const std::size_t size = blocks_[pick()].size;
    const std::size_t stays = how % 4 == 2 ? 0 : 2u + how / 4;
    std::size_t nth = 0;
    for (std::size_t i = blocks_.count(); i-- != 0;)
      if (blocks_[i].size == size && (stays == 0 || ++nth % stays != 0)) free(i);
  }
}

/// As of any size from what was asked for to what there is.
void alloc_driver::free_sized(bool within) {
  if (blocks_.empty()) return;
  ++calls_;
  const block b = blocks_.remove(pick());
  require(b.is_signed(b.start, b.size), "contents stay");
  const std::size_t as = b.asked + byte() % (b.size - b.asked + 1);
  within ? detail::blocks::deallocate_within(b.start, as) : alloc::deallocate(b.start, as);
}

// --- what a collector frees -----------------------------------------------------------------------------------------

void alloc_driver::allocate_collected() {
  const std::uint8_t how = byte();
  const std::size_t n = size();
  shadow& of_kind = collected_[how % 2];
  const auto kind = how % 2 == 0 ? detail::span_kind::scan : detail::span_kind::noscan;
  const std::size_t count = n <= 1'024 ? 1 + how / 2 : 1;
  for (std::size_t i = 0; i != count && admits(n) && of_kind.count() != most_blocks; ++i) {
    if (n < absurd && of_kind.bytes() + n > most_bytes) return;
    ++calls_;
    auto* const p = static_cast<char*>(detail::collected_blocks::allocate(kind, n));
    if (p == nullptr) return require_reason(n, 16);
    const detail::collected_block b = detail::the_collected_spans.find(p + (n != 0 ? how % n : 0));
    require(b.start == p && b.size >= n && b.in->kind == kind, "a collected block is found");
    require(reinterpret_cast<std::uintptr_t>(p) % 16 == 0, "blocks are aligned");
    require(profiled_ || hardened_ || b.size == alloc::good_size(n) || n >= detail::mheap::huge_limit,
            "a block has its good size");
    written_ += std::min(b.size, block::most_pages * 4'096);
    of_kind.add(p, b.size, n);
  }
}

void alloc_driver::free_collected(shadow& from, std::size_t i) {
  ++calls_;
  const block b = from.remove(i);
  auto* const last = b.start + b.size - 1;
  require(detail::the_collected_spans.find(last).start == static_cast<void*>(b.start), "a collected block is found");
  require(b.is_signed(b.start, b.size), "contents stay");
  detail::collected_blocks::deallocate(b.start);
  // A thread that has no cache, and no memory for one, leaves it as it is.
  require(detail::the_collected_spans.find(last).start == nullptr || kernel::instance().refusals() != 0,
          "what has been freed is not found");
}

void alloc_driver::free_collected() {
  const std::uint8_t how = byte();
  shadow& from = collected_[how % 2];
  std::size_t at = word();
  for (std::size_t n = 1u + how / 2; n != 0 && !from.empty(); --n) free_collected(from, at = (at + 7) % from.count());
}

// --- memory goes back, limits, profiles -----------------------------------------------------------------------------

void alloc_driver::give_back() {
  using namespace detail;
  const std::uint8_t how = byte();
  if (how % 4 == 0) {
    alloc::release();
  } else if (how % 4 == 1) {
    for (mcentral& c : the_mcentrals) the_scavenger.tidy_spans(c, how >= 128);
  } else if (how % 4 == 2) {
    if (this_mcache != &nobodys_mcache && how >= 128) this_mcache->watch_calls();
    the_scavenger.step(how % 16 + 1, nanoseconds_t{how} << 12);
  } else {
    the_mheap.release(the_scavenger.round() + 1, std::size_t{how} << 14);
  }
}

/// A little more than there is, or none.
void alloc_driver::set_limit() {
  const std::size_t more = byte();
  const std::size_t bytes = more == 0 ? 0 : held() + (more << 16);
  alloc::set_limit(bytes);
  require(alloc::limit() == bytes, "the limit is what it was set to");
}

std::size_t alloc_driver::held() {
  const detail::mheap_figures f = detail::the_mheap.figures();
  return f.in_spans + f.idle_resident + f.huge;
}

void alloc_driver::check_limit(std::size_t held_before) const {
  if (kernel::instance().refusals() != refused_before_) return;
  require(held() <= std::max(alloc::limit(), held_before), "no more memory than the limit");
}

void alloc_driver::profile() {
  const std::uint8_t how = byte();
  if (how < 160) {
    profiled_ = true;
    require(alloc::profile::start(std::size_t{1} << (9 + how % 16)) || kernel::instance().refusals() != 0,
            "a profile can begin");
  } else if (how < 250) {
    alloc::profile::stop();
  } else if (written_ < most_written) {
    written_ += std::size_t{1} << 20;  // it is slow
    require(alloc::profile::write(kernel::sink), "a profile can be written");
  }
}

// --- arenas ---------------------------------------------------------------------------------------------------------

void alloc_driver::use_arena() {
  const std::size_t alignment = std::size_t{1} << byte() % 13;
  const std::size_t n = std::min<std::size_t>(size(), std::size_t{4} << 20);
  if (pieces_.count() == most_blocks || pieces_.bytes() + n > most_bytes) return;
  ++calls_;
  try {
    void* const p = arena_->allocate(n, alignment);
    require(reinterpret_cast<std::uintptr_t>(p) % alignment == 0, "what is in an arena is aligned");
    if (n != 0) pieces_.add(p, n, n);
  } catch (const std::bad_alloc&) {
    require_reason(2 * n + alloc::arena::largest_block, alignment);
  }
}

void alloc_driver::reset_arena() {
  for (const block& b : pieces_.blocks()) require(b.is_signed(b.start, b.size), "contents of an arena stay");
  pieces_.forget();
  byte() % 2 == 0 ? arena_->reset() : arena_->release();
}

// --- looking --------------------------------------------------------------------------------------------------------

void alloc_driver::look() {
  const std::uint8_t how = byte();
  const std::size_t i = blocks_.empty() ? 0 : pick();
  if (how % 4 == 0 && !blocks_.empty())
    require(blocks_[i].is_signed(blocks_[i].start, blocks_[i].size), "contents stay");
  if (how % 4 == 1 && hardened_) detail::hardened::check_all();
  if (how % 4 == 2 && !hardened_) check_statistics();
  if (how % 4 == 3 && how >= 224) {
    const alloc::statistics s = alloc::get_statistics();
    require(!alloc::to_json(s).empty() && !alloc::to_string(s).empty(), "statistics have a text");
  }
}

/// What the allocator says that there is, and what there is.
void alloc_driver::check_statistics() {
  using namespace detail;
  const bool undisturbed = kernel::instance().refusals() == 0;
  // Nothing is on its way anywhere, once the caches have sent it off.
  const bool exact = plain_ && undisturbed && !profiled_ && !in_thread_ && arena_->held() == 0;
  if (exact)
    for (std::size_t i = 0; i != caches_.size(); ++i)
      for (mcache* const c : {caches_[i], collected_caches_[i][0], collected_caches_[i][1]})
        if (c != nullptr) c->flush();
  const alloc::statistics s = alloc::get_statistics();
  std::array<std::size_t, alloc::statistics::most_classes> in_use{};
  std::size_t large = 0, huge = 0, in_spans = s.large_bytes;
  for (const shadow* const all : {&blocks_, &collected_[0], &collected_[1]})
    for (const block& b : all->blocks()) {
      if (!the_map.contains(b.start))
        huge += b.size;
      else if (const span& of = the_map.span_of(b.start); of.is_large())
        ++large;
      else
        ++in_use[of.klass];
    }
  const std::size_t scan = collected_[0].bytes(), noscan = collected_[1].bytes();
  require(exact ? s.scan == scan : s.scan >= scan, "statistics count what is scanned");
  require(exact ? s.noscan == noscan : s.noscan >= noscan, "statistics count what is not scanned");
  for (std::size_t c = 0; c != s.class_count; ++c) {
    const alloc::class_statistics& k = s.classes[c];
    require(exact ? k.in_use == in_use[c] : k.in_use >= in_use[c], "statistics count blocks");
    require(k.in_use + k.free + k.fresh == k.spans() * class_info[c].capacity, "statistics count all of a span");
    in_spans += k.pages;
  }
  require(in_spans == s.in_spans, "statistics agree about spans");
  if (arena_->held() == 0) {
    require(s.large_blocks == large || !exact, "statistics count large blocks");
    require(s.huge == huge, "statistics count huge blocks");
  }
  std::size_t mapped = 0;
  the_map.for_each_window([&](const heap_window& w) {
    mapped += kernel::instance().mapped(w.base, reinterpret_cast<std::uintptr_t>(w.end()));
  });
  require(s.mapped == mapped, "as much is mapped as is said");
}

/// Something else is mapped from now on where the heap or one of its tables would go on.
void alloc_driver::obstruct() {
  const std::uint8_t which = byte();
  char* at = nullptr;
  detail::the_map.for_each_window([&](const detail::heap_window& w) {
    at = which % 3 == 0   ? w.end()
         : which % 3 == 1 ? reinterpret_cast<char*>(w.tags) + w.tagged
                          : reinterpret_cast<char*>(w.table) + w.tabled;
  });
  if (at != nullptr) ::mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

// --- what is not allowed --------------------------------------------------------------------------------------------

namespace {

/// Whether f() ends the process. The call that ends it is not at work any more.
template <class F>
bool is_noticed(F f) {
  using namespace detail;
  if (!kernel::instance().ends_process(f)) return false;
  the_mcache_pool.for_each_mutable([](mcache& c) { c.work.store(0, std::memory_order_relaxed); });
  guest_calls = 0;
  return true;
}

/// Whether the span of a block stays where it is when that is freed.
bool frees_into_active_span(const void* p) {
  using namespace detail;
  if (!the_map.contains(p)) return false;
  const span& s = the_map.span_of(p);
  return s.owner.load(std::memory_order_relaxed) == this_mcache && s.state == span_state::active;
}

}  // namespace

/// Something that must be noticed.
void alloc_driver::misuse() {
  const std::uint8_t how = byte();
  if (const shadow& of_kind = collected_[how % 2]; how >= 240 && !of_kind.empty())
    return require(is_noticed([&] { alloc::deallocate(of_kind[0].start); }), "misuse is noticed");
  if (blocks_.empty()) return;
  const std::size_t i = pick();
  const block b = blocks_[i];
  if (hardened_ && how % 8 >= 4) return overwrite(b);
  const auto noticed = [&](auto f) { require(is_noticed(f), "misuse is noticed"); };
  switch (how % 4) {
    case 0: return noticed([&] { alloc::deallocate(b.start + 1 + how % 15); });
    case 1: return noticed([&] { alloc::deallocate(b.start, b.size + 1 + how); });
    case 2: {
      alignas(16) static char foreign[16];
      return noticed([&] { alloc::deallocate(foreign); });
    }
    default:
      if (!hardened_ && !frees_into_active_span(b.start))
        return noticed([&] { detail::blocks::deallocate_within(b.start, b.size + 1); });
      free(i);
      return noticed([&] { alloc::deallocate(b.start); });
  }
}

/// Writes where it may not. The heap is not to be used afterwards.
void alloc_driver::overwrite(const block& b) {
  using namespace detail;
  kernel& k = kernel::instance();
  const bool checked = the_map.contains(b.start);
  if (b.size == 0 || (!checked && reinterpret_cast<std::uintptr_t>(b.start + b.size) % 4096 == 0)) return;
  const std::uint8_t how = byte();
  over_ = true;
  if (how % 3 == 0 || !checked) {
    b.start[b.size] ^= 1;
    require(k.ends_process([&] { how % 2 == 0 ? hardened::check_all() : alloc::deallocate(b.start); }),
            "an overflow is noticed");
  } else if (how % 3 == 1) {
    alloc::deallocate(b.start);
    b.start[how % b.size] ^= 1;
    require(k.ends_process([] { hardened::check_all(); }), "what is written after it was freed is noticed");
  } else if (const span& s = the_map.span_of(b.start); s.size <= canary::most && s.index_of(b.start) != 0) {
    // The canary of the one before it reaches as far as here.
    b.start[-1] ^= 1;
    require(k.ends_process([&] { alloc::deallocate(b.start); }), "what is written in front of a block is noticed");
  }
}

// --- threads --------------------------------------------------------------------------------------------------------

/// From now on this thread is another as far as the allocator can see: it has that one's cache.
void alloc_driver::switch_to(std::size_t thread) {
  using namespace detail;
  caches_[thread_] = this_mcache != &nobodys_mcache ? this_mcache : nullptr;
  collected_caches_[thread_] = collected_mcaches;
  thread_ = thread;
  mcache* const c = caches_[thread] != nullptr || thread == 0 ? caches_[thread] : the_mcache_pool.take();
  this_mcache = c != nullptr ? c : &nobodys_mcache;
  collected_mcaches = collected_caches_[thread];
}

void alloc_driver::end_thread() {
  using namespace detail;
  for_own_mcaches([](mcache& c) { the_mcache_pool.give(c); });
  this_mcache = &nobodys_mcache;
  collected_mcaches = {};
}

void alloc_driver::change_thread() {
  const std::uint8_t how = byte();
  if (!plain_ || in_thread_) return;
  switch_to(how % caches_.size());
  if (how < 224 || thread_ == 0) return;
  // It ends, and the next of its name is another.
  end_thread();
  switch_to(0);
}

/// The next calls are made by a thread that ends afterwards.
void alloc_driver::real_thread() {
  const std::size_t steps = 1 + byte() % 16;
  if (in_thread_) return;
  in_thread_ = true;
  std::thread([&] {
    for (std::size_t i = 0; i != steps && at_ != end_ && !over_; ++i) step();
  }).join();
  in_thread_ = false;
}

}  // namespace heddle::testing
