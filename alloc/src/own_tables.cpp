// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/own_tables.hpp"

#include "address_map.hpp"
#include "checked_blocks.hpp"
#include "guarded_blocks.hpp"
#include "mcentral.hpp"
#include "nobody.hpp"
#include "reserve_blocks.hpp"

namespace heddle::detail {
namespace {

template <class T>
constexpr table_extent extent_of(const T& table) noexcept {
  return {&table, sizeof table};
}

constexpr table_extent tables[] = {
    extent_of(the_checked_blocks), extent_of(the_guarded_blocks), extent_of(the_map),
    extent_of(the_mcentrals),      extent_of(the_reserve_blocks), extent_of(nobodys_mcache),
};

}  // namespace

std::span<const table_extent> own_tables() noexcept { return tables; }

}  // namespace heddle::detail
