// SPDX-License-Identifier: BSL-1.0
#include "strategy.hpp"

#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>

#include "exhaustive.hpp"
#include "random_walk.hpp"

namespace model::detail {
namespace {

constexpr unsigned unlimited = std::numeric_limits<unsigned>::max();

/// "a=1,b=2" as a map.
std::map<std::string, std::string> parse(const std::string& text) {
  std::map<std::string, std::string> fields;
  std::istringstream in(text);
  for (std::string field; std::getline(in, field, ',');) {
    const auto equals = field.find('=');
    if (equals == std::string::npos) throw std::invalid_argument("HEDDLE_MODEL: no '=' in '" + field + "'");
    fields[field.substr(0, equals)] = field.substr(equals + 1);
  }
  return fields;
}

}  // namespace

void explorer::refill() noexcept {
  const auto set = [this](choice kind, unsigned n) { budget_[static_cast<unsigned>(kind)] = n; };
  set(choice::read, options_.strategy == strategy::exhaustive ? options_.stale_reads : unlimited);
  set(choice::stale_failure, options_.strategy == strategy::exhaustive ? options_.stale_reads : unlimited);
  set(choice::weak_failure, options_.weak_failures);
  set(choice::spurious_wake, options_.spurious_wakes);
  set(choice::early_timeout, options_.early_timeouts);
  set(choice::thread_failure, options_.thread_failures);
  set(choice::late_store, options_.late_stores);
  set(choice::waiter, options_.strategy == strategy::exhaustive ? 0 : unlimited);
}

bool explorer::spend(choice kind) noexcept {
  unsigned& left = budget_[static_cast<unsigned>(kind)];
  if (left == 0) return false;
  if (left != unlimited) --left;
  return true;
}

std::unique_ptr<explorer> make_explorer(const options& o) {
  if (o.strategy == strategy::exhaustive) return std::make_unique<exhaustive>(o);
  return std::make_unique<random_walk>(o);
}

std::unique_ptr<explorer> make_replay(options& o, const std::string& reproduce) {
  auto fields = parse(reproduce);
  const std::string name = fields["strategy"];
  if (fields.count("max_steps") != 0) o.max_steps = static_cast<unsigned>(std::stoul(fields["max_steps"]));
  options chosen = o;
  chosen.executions = 1;
  if (name == "exhaustive") {
    chosen.strategy = strategy::exhaustive;
    return std::make_unique<exhaustive>(chosen, fields["path"]);
  }
  if (name != "pct" && name != "random") throw std::invalid_argument("HEDDLE_MODEL: unknown strategy '" + name + "'");
  chosen.strategy = name == "pct" ? strategy::pct : strategy::random;
  return std::make_unique<random_walk>(chosen, std::stoull(fields["seed"]),
                                       fields.count("length") != 0 ? std::stoull(fields["length"]) : 0);
}

}  // namespace model::detail
