// SPDX-License-Identifier: BSL-1.0
#include "fresh_heap.hpp"

#include <memory>

#include "canary.hpp"
#include "checked_blocks.hpp"
#include "collected_spans.hpp"
#include "fork_gate.hpp"
#include "guarded_blocks.hpp"
#include "heap_profile.hpp"
#include "kernel.hpp"
#include "mcache.hpp"
#include "mcentral.hpp"
#include "mheap.hpp"
#include "nobody.hpp"
#include "require.hpp"
#include "reserve_blocks.hpp"
#include "scavenger.hpp"
#include "thread_cache.hpp"
#include "untouchable_blocks.hpp"

namespace heddle::testing {
namespace {

template <class T>
void make_anew(T& object) {
  std::destroy_at(&object);
  ::new (static_cast<void*>(&object)) T();
}

/// All that is neither constant nor a thread's own, and not of the process at large as the key for the end of threads.
void forget_all() {
  using namespace detail;
  this_mcache = &nobodys_mcache;
  collected_mcaches = {};
  guest_calls = 0;
  make_anew(the_fork_gate);
  make_anew(the_reserve_blocks);
  make_anew(the_map);
  make_anew(the_mheap);
  for (mcentral& c : the_mcentrals) make_anew(c);
  make_anew(the_mcache_pool);
  make_anew(the_collected_spans);
  make_anew(the_scavenger);
  make_anew(the_profile);
  make_anew(the_fork_gate);
  make_anew(the_reserve_blocks);
  guest_calls = 0;
  if (the_options.hardened) {  // they are large
    for (checked_blocks& c : the_checked_blocks) make_anew(c);
    make_anew(the_guarded_blocks);
    make_anew(the_untouchable_blocks);
    canary::secret = 0;
  }
  the_options = {};
  the_extras_word.store(call_extras::none, std::memory_order_relaxed);
}

}  // namespace

fresh_heap::fresh_heap(const detail::alloc_options& options, std::size_t address_space) {
  using detail::call_extras;
  require(!detail::the_map.has_heap(), "a fresh heap begins where there is none");
  kernel::instance().begin(address_space);
  detail::the_options = options;
  const call_extras extras = options.hardened               ? call_extras::checks
                             : options.zero || options.junk ? call_extras::fill
                                                            : call_extras::none;
  detail::the_extras_word.store(extras, std::memory_order_relaxed);
}

fresh_heap::~fresh_heap() {
  forget_all();
  kernel::instance().end();
}

}  // namespace heddle::testing
