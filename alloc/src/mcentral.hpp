// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"
#include "span.hpp"

namespace heddle::detail {

/// The spans of a span class that nobody owns, since most of their blocks are free. Caches take them when they run dry;
/// the scavenger looks at them; and who frees their last block takes them back to the mheap. From any thread; O(1).
class alignas(64) mcentral {
 public:
  constexpr mcentral() noexcept = default;

  enum class end { front, back };
  /// Gives up a span that is in no list, of which the caller is the owner and no notice is due. False: no block of it
  /// is in use, so that it belongs to the mheap; the caller still has it. Caches take from the front.
  bool give(span& s, end where = end::front) noexcept;
  /// Null: there is none. The span is nobody else's; its blocks in `remote` are still to be collected.
  span* take() noexcept;
  /// Called by one who has freed what seems to be the last block of s, whose class this is or was. True: the span is
  /// the caller's, and empty.
  bool take_emptied(span& s) noexcept;
  std::size_t count() noexcept;
  thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  void unlist(span& s) noexcept HEDDLE_REQUIRES(lock_);

  thread_mutex lock_{lock_rank::mcentral};
  span_list spans_ HEDDLE_GUARDED_BY(lock_);
  std::size_t count_ HEDDLE_GUARDED_BY(lock_) = 0;
};

/// By span class: those of malloc() first, so by size class.
extern std::array<mcentral, span_class_count> the_mcentrals;

inline mcentral& mcentral_of(const span& s) noexcept { return the_mcentrals[span_class_of(s.kind, s.klass)]; }

/// Takes what others have freed, and clears the flags. Returns how many blocks there were; they are still counted as in
/// use, and not linked yet: what becomes empty need not be.
std::uint32_t collect_remote(span& s) noexcept;

/// Links into s.free some of the collected blocks that the first remote_block tells of. There is one: s.teller.
void link_told(span& s) noexcept;

}  // namespace heddle::detail
