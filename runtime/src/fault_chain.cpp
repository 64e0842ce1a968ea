// SPDX-License-Identifier: BSL-1.0
#include "fault_chain.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace heddle::detail {
namespace {

/// As many runs may end with a handler of the program on top of ours. After that ours is not set on top any more: the
/// program's own handlers come first then, and one that hands on reaches our older links.
constexpr std::size_t most_links = 64;
constexpr std::size_t no_link = most_links;

/// The state of one of the two signals.
struct chain {
  int signal;
  std::array<struct sigaction, most_links> before;
  std::array<std::atomic<bool>, most_links> spent;  ///< a handler with SA_RESETHAND has had its one call
  std::size_t known = 0;                            ///< links below this one may be known to handlers of the program
  std::size_t link = no_link;                       ///< the one that begin() has installed
};

constinit std::array<chain, 2> chains{
    {{.signal = SIGSEGV, .before = {}, .spent = {}}, {.signal = SIGBUS, .before = {}, .spent = {}}}};
constinit std::atomic<void (*)(const siginfo_t&)> looker{nullptr};

/// The fault that the thread's handlers are at, and the links that it has been through.
struct passage {
  const void* context = nullptr;
  const char* frame = nullptr;
  std::uint64_t links = 0;
};
constinit thread_local passage of_thread;

/// Whether the call whose frame is at `frame` was made by a handler that has the same fault from us. A passage that a
/// jump has left is not mistaken for one under way: the next fault's first call is not below it.
bool goes_on(const passage& p, const void* context, const char* frame) noexcept {
  return p.context == context && frame < p.frame;
}

/// Does what the kernel does without a handler, as soon as we return. A real fault comes again by itself, with all that
/// a core shows of it.
void die(int signal, const siginfo_t& info) noexcept {
  struct sigaction fatal {};
  fatal.sa_handler = SIG_DFL;
  ::sigaction(signal, &fatal, nullptr);
  const bool comes_again = info.si_code > 0 && !(signal == SIGBUS && info.si_code == BUS_MCEERR_AO);
  if (!comes_again) ::raise(signal);
}

/// Calls the handler before a link, with the signals blocked that it asks for.
void hand_on(chain& c, std::size_t link, siginfo_t* info, void* context) noexcept {
  const struct sigaction& next = c.before[link];
  const bool has_info = (next.sa_flags & SA_SIGINFO) != 0;
  if (!has_info && next.sa_handler == SIG_IGN && info->si_code <= 0) return;  // a real fault cannot be ignored
  if ((!has_info && (next.sa_handler == SIG_DFL || next.sa_handler == SIG_IGN)) ||
      ((next.sa_flags & SA_RESETHAND) != 0 && c.spent[link].exchange(true, std::memory_order_relaxed)))
    return die(c.signal, *info);
  ::pthread_sigmask(SIG_BLOCK, &next.sa_mask, nullptr);
  if ((next.sa_flags & SA_NODEFER) != 0) {
    sigset_t this_one;
    ::sigemptyset(&this_one);
    ::sigaddset(&this_one, c.signal);
    ::pthread_sigmask(SIG_UNBLOCK, &this_one, nullptr);
  }
  if (has_info)
    next.sa_sigaction(c.signal, info, context);
  else
    next.sa_handler(c.signal);
}

template <std::size_t link>
void on_fault(int signal, siginfo_t* info, void* context) {
  chain& c = chains[signal == SIGSEGV ? 0 : 1];
  const auto* const frame = static_cast<const char*>(__builtin_frame_address(0));
  const passage outer = of_thread;
  if (!goes_on(outer, context, frame)) {
    of_thread = {context, frame, 0};
    if (const auto look = looker.load(std::memory_order_relaxed)) look(*info);
  }
  if ((of_thread.links & std::uint64_t{1} << link) != 0) {
    die(signal, *info);
  } else {
    of_thread.links |= std::uint64_t{1} << link;
    hand_on(c, link, info, context);
  }
  of_thread = outer;
}

using handler = void (*)(int, siginfo_t*, void*);
template <std::size_t... link>
constexpr std::array<handler, most_links> all_links(std::index_sequence<link...>) noexcept {
  return {on_fault<link>...};
}
constexpr std::array<handler, most_links> links = all_links(std::make_index_sequence<most_links>());

std::size_t link_of(const struct sigaction& a) noexcept {
  std::size_t link = 0;
  while (link != most_links && ((a.sa_flags & SA_SIGINFO) == 0 || a.sa_sigaction != links[link])) ++link;
  return link;
}

void install(chain& c) noexcept {
  struct sigaction now {};
  ::sigaction(c.signal, nullptr, &now);
  // Installed by a parent that has forked, or put back by a handler of the program that had found it.
  const std::size_t found = link_of(now);
  if (found != no_link) {
    c.link = found;
    return;
  }
  // No end() has come, since this is a child, and a handler on top may know the link.
  if (c.link != no_link) c.known = c.link + 1;
  c.link = c.known;
  if (c.link == no_link) return;
  struct sigaction ours {};
  ours.sa_sigaction = links[c.link];
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  c.spent[c.link].store(false, std::memory_order_relaxed);
  c.before[c.link] = now;
  ::sigaction(c.signal, &ours, &now);
  if (link_of(now) == no_link) c.before[c.link] = now;  // set by another thread in between
}

void take_out(chain& c) noexcept {
  if (c.link == no_link) return;
  struct sigaction now {};
  ::sigaction(c.signal, nullptr, &now);
  if (link_of(now) == c.link) {
    const bool spent = c.spent[c.link].load(std::memory_order_relaxed);
    struct sigaction fatal {};
    fatal.sa_handler = SIG_DFL;
    ::sigaction(c.signal, spent ? &fatal : &c.before[c.link], nullptr);
  } else {
    c.known = c.link + 1;
  }
  c.link = no_link;
}

}  // namespace

void fault_chain::begin(void (*look)(const siginfo_t&)) noexcept {
  looker.store(look, std::memory_order_relaxed);
  for (chain& c : chains) install(c);
}

void fault_chain::end() noexcept {
  for (chain& c : chains) take_out(c);
}

}  // namespace heddle::detail
