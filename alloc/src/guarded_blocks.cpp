// SPDX-License-Identifier: BSL-1.0
#include "guarded_blocks.hpp"

#include <algorithm>
#include <functional>

#include "canary.hpp"
#include "mheap.hpp"
#include "misuse.hpp"
#include "os.hpp"

namespace heddle::detail {

constinit guarded_blocks the_guarded_blocks;

namespace {

constexpr std::size_t os_page = 4096;
constexpr std::size_t absurd = std::size_t{1} << 46;

constexpr std::size_t round_up(std::size_t n, std::size_t to) noexcept { return (n + to - 1) / to * to; }

char* align_up(char* p, std::size_t to) noexcept { return p + (0 - reinterpret_cast<std::uintptr_t>(p)) % to; }

std::size_t bucket_of(const void* p) noexcept {
  const std::uintptr_t a = reinterpret_cast<std::uintptr_t>(p) >> 4;
  return a ^ a >> 8 ^ a >> 20;
}

}  // namespace

const char* guarded_blocks::block::find_damage() const noexcept {
  const char* const before = canary::find_damage(start, body, start);
  return before != nullptr ? before : canary::find_damage(start, start + size, body + body_bytes);
}

/// Gives a record with size and alignment its memory. False: there is none.
bool guarded_blocks::map(block& b) noexcept {
  b.body_bytes = round_up(b.size, os_page);
  b.mapped = b.body_bytes + 2 * os_page + (b.alignment > os_page ? b.alignment : 0);
  b.map = static_cast<char*>(os::reserve_closed(b.mapped));
  if (b.map == nullptr) return false;
  b.body = align_up(b.map + os_page, std::max(b.alignment, os_page));
  if (!os::commit(b.body, b.body_bytes)) {
    os::unmap(b.map, b.mapped);
    return false;
  }
  b.start = b.alignment > os_page ? b.body : b.body + (b.body_bytes - b.size) / b.alignment * b.alignment;
  canary::write(b.start, b.body, b.start);
  canary::write(b.start, b.start + b.size, b.body + b.body_bytes);
  return true;
}

guarded_blocks::block** guarded_blocks::find(const void* p) noexcept {
  block** at = &table_[bucket_of(p) % buckets];
  while (*at != nullptr && (*at)->start != p) at = &(*at)->next;
  return at;
}

guarded_blocks::block* guarded_blocks::make_record() noexcept {
  block* b = unused_;
  if (b != nullptr)
    unused_ = b->next;
  else
    b = static_cast<block*>(the_mheap.make_record(sizeof(block)));
  return b;
}

void guarded_blocks::drop_record(block& b) noexcept {
  b.next = unused_;
  unused_ = &b;
}

void* guarded_blocks::allocate(std::size_t alignment, std::size_t size) noexcept {
  if (size >= absurd || alignment >= absurd) return nullptr;
  block* b = nullptr;
  {
    const thread_lock hold(lock_);
    b = make_record();
  }
  if (b == nullptr) return nullptr;
  *b = {};
  b->size = size;
  b->alignment = alignment;
  bool mapped = map(*b);
  while (!mapped && release_oldest()) mapped = map(*b);
  const thread_lock hold(lock_);
  if (!mapped) {
    drop_record(*b);
    return nullptr;
  }
  if (++count_ > most_guarded) os::commit(b->map, b->mapped);
  bytes_in_use_ += b->body_bytes;
  *find(b->start) = b;
  return b->start;
}

std::size_t guarded_blocks::bytes_in_use() noexcept {
  const thread_lock hold(lock_);
  return bytes_in_use_;
}

guarded_blocks::block guarded_blocks::in_use(const void* p, const char* what) noexcept {
  {
    const thread_lock hold(lock_);
    if (const block* const b = *find(p); b != nullptr && !b->freed) return *b;
  }
  report(p, what);
}

void guarded_blocks::deallocate(void* p, const char* what) noexcept {
  block* b = nullptr;
  {
    const thread_lock hold(lock_);
    b = *find(p);
    if (b != nullptr && b->freed) b = nullptr;
    if (b != nullptr) {
      b->freed = true;
      bytes_in_use_ -= b->body_bytes;
    }
  }
  if (b == nullptr) report(p, what);
  if (const char* const at = b->find_damage(); at != nullptr) report_written(*b, at);
  quarantine(*b);
}

/// Takes the memory of a block away, but not yet its addresses.
void guarded_blocks::quarantine(block& b) noexcept {
  os::close(b.map, b.mapped);
  bool many = false;
  {
    const thread_lock hold(lock_);
    b.younger = nullptr;
    (youngest_ != nullptr ? youngest_->younger : oldest_) = &b;
    youngest_ = &b;
    quarantined_bytes_ += b.mapped;
    ++quarantined_;
    many = count_ > most_guarded;
  }
  if (many) release_oldest();
  // A large one may push several out.
  while (quarantine_is_full() && release_oldest()) {
  }
}

bool guarded_blocks::quarantine_is_full() noexcept {
  // Under ulimit -v the rest of the process needs addresses too, for stacks of threads among others. It may be drawn at
  // any time.
  const std::size_t most_bytes = std::min(quarantine_bytes, os::address_space_limit() / 16);
  const thread_lock hold(lock_);
  return quarantined_ > quarantine_most || quarantined_bytes_ > most_bytes;
}

/// False: there is none in quarantine.
bool guarded_blocks::release_oldest() noexcept {
  char* map = nullptr;
  std::size_t mapped = 0;
  {
    const thread_lock hold(lock_);
    block* const b = oldest_;
    if (b == nullptr) return false;
    oldest_ = b->younger;
    if (oldest_ == nullptr) youngest_ = nullptr;
    --quarantined_;
    --count_;
    quarantined_bytes_ -= b->mapped;
    *find(b->start) = b->next;
    map = b->map;
    mapped = b->mapped;
    drop_record(*b);
  }
  os::unmap(map, mapped);
  return true;
}

bool guarded_blocks::release_all() noexcept {
  bool any = false;
  while (release_oldest()) any = true;
  return any;
}

void guarded_blocks::check() noexcept {
  block damaged{};
  const char* at = nullptr;
  {
    const thread_lock hold(lock_);
    for (const block* first : table_)
      for (const block* b = first; b != nullptr && at == nullptr; b = b->next)
        if (!b->freed && (at = b->find_damage()) != nullptr) damaged = *b;
  }
  if (at != nullptr) report_written(damaged, at);
}

guarded_blocks::block guarded_blocks::containing(const void* p) const noexcept {
  for (const block* first : table_)
    for (const block* b = first; b != nullptr; b = b->next)
      if (!std::less<>()(p, b->map) && std::less<>()(p, b->map + b->mapped)) return *b;
  return {};
}

/// Says what is known of an address at which no block in use begins.
void guarded_blocks::report(const void* p, const char* what) noexcept {
  block near{};
  {
    const thread_lock hold(lock_);
    near = containing(p);
  }
  const char* const why = near.start == nullptr           ? "no block begins there, and the heap has no memory there"
                          : near.freed && near.start == p ? "it has been freed before"
                                                          : "no block begins there";
  misuse_outside(what, p, why, near.start, near.size);
}

void guarded_blocks::report_touched(const void* at) noexcept {
  if (!lock_.try_lock()) return;
  const block near = containing(at);
  lock_.unlock();
  if (near.start == nullptr) return;
  const char* const found = near.freed                      ? "touched after it was freed"
                            : std::less<>()(at, near.start) ? "touched before the beginning of a block"
                                                            : "touched behind the end of a block";
  written(found, near.start, near.size, at, nullptr);
}

void guarded_blocks::report_written(const block& b, const char* at) noexcept {
  written(at < b.start ? "written before the beginning of a block" : "written behind the end of a block", b.start,
          b.size, at, nullptr);
}

}  // namespace heddle::detail
