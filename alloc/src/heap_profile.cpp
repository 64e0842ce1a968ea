// SPDX-License-Identifier: BSL-1.0
#include "heap_profile.hpp"

#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "at_work.hpp"
#include "mcache.hpp"
#include "mheap.hpp"
#include "nobody.hpp"
#include "os.hpp"
#include "text_writer.hpp"
#include "thread_cache.hpp"

namespace heddle::detail {

constinit heap_profile the_profile;

namespace {

/// backtrace() may allocate, the first time.
constinit thread_local bool taking_backtrace = false;

}  // namespace

std::uint64_t cache_sampling::draw() noexcept {
  // Not before: without a profile the program shall not be killed for a call that it has not made.
  if (random == 0) random = os::random_bits() | 1;
  const auto uniform = [this]() noexcept {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random >> 11;  // 53 bits
  };
  // A run of falling numbers is of odd length with the probability of the density at its first; else one further.
  for (std::uint64_t whole = 0;; ++whole) {
    const std::uint64_t first = uniform();
    bool odd = true;
    for (std::uint64_t last = first, u = uniform(); u < last; u = uniform()) last = u, odd = !odd;
    if (!odd) continue;
    const double x = static_cast<double>(whole) + static_cast<double>(first) * 0x1p-53;
    return static_cast<std::uint64_t>(x * static_cast<double>(interval)) + 1;
  }
}

bool heap_profile::start(std::size_t interval) noexcept {
  if (interval == 0) return false;
  void* frame = nullptr;
  ::backtrace(&frame, 1);  // loads the unwinder now
  const at_work here(at_work::patience::endless);
  if (!here) return false;
  {
    const thread_lock hold(lock_);
    if (!prepare()) return false;
    forget();
    last_interval_.store(interval, std::memory_order_relaxed);
    interval_.store(interval, std::memory_order_relaxed);
  }
  if (this_mcache != &nobodys_mcache) this_mcache->begin_sampling();
  return true;
}

/// Memory for the tables.
bool heap_profile::prepare() noexcept {
  if (samples_ == nullptr) {
    samples_ = static_cast<profile_sample**>(the_mheap.make_record(chains * sizeof(profile_sample*)));
    buckets_ = static_cast<profile_bucket**>(the_mheap.make_record(chains * sizeof(profile_bucket*)));
    if (samples_ == nullptr || buckets_ == nullptr) {
      samples_ = nullptr;
      return false;
    }
  }
  return true;
}

/// The blocks of earlier samples are blocks like others from now on.
void heap_profile::forget() noexcept {
  for (std::size_t c = 0; c != chains; ++c)
    while (profile_sample* const s = samples_[c]) {
      samples_[c] = s->next;
      s->next = free_samples_;
      free_samples_ = s;
    }
  in_use_.store(0, std::memory_order_relaxed);
  for (profile_bucket* b = first_.load(std::memory_order_relaxed); b != nullptr; b = b->next) {
    b->live.store(0, std::memory_order_relaxed);
    b->allocated.store(0, std::memory_order_relaxed);
  }
}

void heap_profile::add(const void* p, std::size_t size) noexcept {
  if (taking_backtrace) return;
  int own = 1;  // this function, and those that the allocator has called it by
  void* frames[profile_bucket::most_frames + 8];
  taking_backtrace = true;
  const int n = ::backtrace(frames, static_cast<int>(std::size(frames)));
  taking_backtrace = false;
  while (own < n && frames[own] >= hidden_begin_ && frames[own] < hidden_end_) ++own;
  const int depth = std::min<int>(n - own, profile_bucket::most_frames);
  if (depth > 0) record(p, size, frames + own, static_cast<std::uint32_t>(depth));
}

void heap_profile::record(const void* p, std::size_t size, void* const* frames, std::uint32_t depth) noexcept {
  const thread_lock hold(lock_);
  if (samples_ == nullptr) return;
  profile_bucket* const b = find(size, frames, depth);
  profile_sample* s = free_samples_;
  if (s != nullptr)
    free_samples_ = s->next;
  else
    s = static_cast<profile_sample*>(the_mheap.make_record(sizeof(profile_sample)));
  if (b == nullptr || s == nullptr) return;  // no memory: it is not sampled
  const std::size_t c = chain_of(p);
  *s = {samples_[c], p, b};
  samples_[c] = s;
  b->live.fetch_add(1, std::memory_order_relaxed);
  b->allocated.fetch_add(1, std::memory_order_relaxed);
  in_use_.fetch_add(1, std::memory_order_relaxed);
}

profile_bucket* heap_profile::find(std::size_t size, void* const* frames, std::uint32_t depth) noexcept {
  std::uint64_t hash = size;
  for (std::uint32_t i = 0; i != depth; ++i)
    hash = (hash ^ reinterpret_cast<std::uintptr_t>(frames[i])) * 0x9e37'79b9'7f4a'7c15U, hash ^= hash >> 29;
  profile_bucket** const chain = &buckets_[hash % chains];
  for (profile_bucket* b = *chain; b != nullptr; b = b->next_of_hash)
    if (b->hash == hash && b->size == size && b->depth == depth && std::equal(frames, frames + depth, b->frames))
      return b;
  void* const memory = the_mheap.make_record(sizeof(profile_bucket));
  if (memory == nullptr) return nullptr;
  auto* const b = new (memory) profile_bucket{};
  b->size = size;
  b->hash = hash;
  b->depth = depth;
  std::copy(frames, frames + depth, b->frames);
  b->next_of_hash = *chain;
  *chain = b;
  b->next = first_.load(std::memory_order_relaxed);
  // release: so that who writes the profile sees what is in the bucket; acquire half in write().
  first_.store(b, std::memory_order_release);
  return b;
}

profile_sample* heap_profile::take_out(const void* p) noexcept {
  if (samples_ == nullptr) return nullptr;
  for (profile_sample** link = &samples_[chain_of(p)]; *link != nullptr; link = &(*link)->next)
    if (profile_sample* const s = *link; s->block == p) {
      *link = s->next;
      s->bucket->live.fetch_sub(1, std::memory_order_relaxed);
      s->next = free_samples_;
      free_samples_ = s;
      in_use_.fetch_sub(1, std::memory_order_relaxed);
      return s;
    }
  return nullptr;
}

void heap_profile::remove(const void* p) noexcept {
  const thread_lock hold(lock_);
  take_out(p);
}

void heap_profile::move(const void* from, const void* to, std::size_t size) noexcept {
  profile_bucket* b = nullptr;
  {
    const thread_lock hold(lock_);
    const profile_sample* const s = take_out(from);
    if (s == nullptr) return;
    b = s->bucket;
  }
  record(to, size, b->frames, b->depth);
}

bool heap_profile::write(int descriptor) noexcept {
  text_writer to(write_to_descriptor, &descriptor);
  // acquire: so that what is in the buckets is seen; release half in find().
  profile_bucket* const first = first_.load(std::memory_order_acquire);
  std::size_t live = 0, live_bytes = 0, all = 0, all_bytes = 0;
  for (const profile_bucket* b = first; b != nullptr; b = b->next) {
    live += b->live.load(std::memory_order_relaxed);
    live_bytes += b->live.load(std::memory_order_relaxed) * b->size;
    all += b->allocated.load(std::memory_order_relaxed);
    all_bytes += b->allocated.load(std::memory_order_relaxed) * b->size;
  }
  to.add("heap profile: %6zu: %8zu [%6zu: %8zu] @ heap_v2/%zu\n", live, live_bytes, all, all_bytes,
         last_interval_.load(std::memory_order_relaxed));
  for (const profile_bucket* b = first; b != nullptr; b = b->next) {
    const std::size_t now = b->live.load(std::memory_order_relaxed);
    const std::size_t ever = b->allocated.load(std::memory_order_relaxed);
    if (ever == 0) continue;
    to.add("%6zu: %8zu [%6zu: %8zu] @", now, now * b->size, ever, ever * b->size);
    for (std::uint32_t i = 0; i != b->depth; ++i) to.add(" 0x%zx", reinterpret_cast<std::uintptr_t>(b->frames[i]));
    to.add("\n");
  }
  to.add("\nMAPPED_LIBRARIES:\n");
  if (!to.flush()) return false;
  const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return false;
  char part[4096];
  bool good = true;
  for (ssize_t n = 0; good && (n = ::read(maps, part, sizeof part)) > 0;)
    good = write_to_descriptor(&descriptor, part, static_cast<std::size_t>(n));
  ::close(maps);
  return good;
}

}  // namespace heddle::detail
