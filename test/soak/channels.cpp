// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "scenarios.hpp"

namespace soak {
namespace {

using token = std::unique_ptr<unsigned>;

/// Tokens that travel through channels; each exists once.
struct market {
  explicit market(dice chance) {
    for (auto& c : channels) c = std::make_unique<heddle::channel<token>>(chance.below(2) * chance.below(5));
  }
  std::array<std::unique_ptr<heddle::channel<token>>, 4> channels;
  heddle::channel<token>& any(dice& chance) { return *channels[chance.below(4)]; }
};

/// Gives a token away, or keeps it if nobody takes it in time.
void give(market& m, std::vector<token>& purse, dice& chance, stopper& stops) {
  token t = std::move(purse.back());
  purse.pop_back();
  auto& c = m.any(chance);
  bool sent = false;
  try {
    switch (chance.below(5)) {
      case 0: sent = c.try_send(std::move(t)); break;
      case 1: sent = c.send_for(std::move(t), chance.moment()); break;
      case 2: sent = c.send(std::move(t), stops.token()); break;
      case 3:
        sent = c.send_until(std::move(t), std::chrono::system_clock::now() + chance.moment(), stops.token());
        break;
      default: {
        heddle::send_case<token> here(c, std::move(t));
        heddle::send_case<token> nowhere(nullptr, nullptr);
        heddle::receive_case<token> back(m.any(chance));
        bool threw = true;
        try {
          sent = heddle::select(here, nowhere, back, heddle::on_timeout(chance.moment())) == 0;
          threw = false;
        } catch (const heddle::channel_closed&) {
        }
        if (!sent) t = std::move(here.value());
        if (std::optional<token>& got = back.result(); got && !threw) purse.push_back(std::move(*got));
      }
    }
  } catch (const heddle::channel_closed&) {
  }
  require(sent == (t == nullptr), "a value is sent or stays with the sender");
  if (t) purse.push_back(std::move(t));
}

void take(market& m, std::vector<token>& purse, dice& chance, stopper& stops) {
  auto& c = m.any(chance);
  token t;
  const auto keep = [&](auto&& got) {
    if (got) t = std::move(*got);
  };
  switch (chance.below(5)) {
    case 0: keep(c.try_receive()); break;
    case 1: keep(c.receive_for(chance.moment())); break;
    case 2: keep(c.receive(stops.token())); break;
    case 3: keep(c.receive_until(std::chrono::steady_clock::now() + chance.moment(), stops.token())); break;
    default: {
      heddle::receive_case<token> a(c);
      heddle::receive_case<token> b(m.any(chance));  // the same one sometimes
      heddle::select_case* both[] = {&a, &b};
      if (chance.one_in(2))
        (void)heddle::select_for(both, chance.moment(), stops.token());
      else
        (void)heddle::select(a, b, heddle::on_stop(stops.token()));
      keep(a.result());
      keep(b.result());
    }
  }
  if (t) purse.push_back(std::move(t));
}

}  // namespace

/// Tokens are neither lost nor doubled, whatever meets whatever, with channels that close at the end.
void channels(const round& r) {
  constexpr unsigned each = 3;
  market m{dice(r.seed)};
  std::vector<std::atomic<int>> seen(each * (r.fibers + r.threads));
  {
    stopper stops(r.seed);
    std::atomic<unsigned> working{r.fibers + r.threads};
    work_together(r, [&](dice& chance, unsigned me) {
      std::vector<token> purse;
      for (unsigned i = 0; i != each; ++i) purse.push_back(std::make_unique<unsigned>(each * me + i));
      for (unsigned i = 0; i != r.operations; ++i) {
        chance.dawdle();
        if (!purse.empty() && chance.one_in(2))
          give(m, purse, chance, stops);
        else
          take(m, purse, chance, stops);
      }
      if (--working == 0)
        for (auto& c : m.channels) c->close();
      for (const token& t : purse) ++seen[*t];
    });
  }
  for (auto& c : m.channels)
    while (auto t = c->receive()) ++seen[**t];
  for (const auto& count : seen) require(count == 1, "a token in channels exists once");
}

}  // namespace soak
