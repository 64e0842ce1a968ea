// SPDX-License-Identifier: BSL-1.0
#include "roots/globals.hpp"

#include <link.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/own_tables.hpp"
#include "roots/copied_words.hpp"

namespace heddle::gc::detail {
namespace {

struct extent {
  std::uintptr_t from = 0, to = 0;
};

/// The pages that the loader makes read-only. As the loader does, it leaves out the last page unless it ends there:
/// other variables follow in it.
extent read_only_pages(const dl_phdr_info& library) noexcept {
  constexpr std::uintptr_t page = 4096;
  for (int i = 0; i != library.dlpi_phnum; ++i) {
    const auto& header = library.dlpi_phdr[i];
    if (header.p_type != PT_GNU_RELRO) continue;
    const std::uintptr_t from = library.dlpi_addr + header.p_vaddr;
    return {from, (from + header.p_memsz) / page * page};
  }
  return {};
}

/// The variables that leave_out() has named.
struct {
  std::array<heddle::detail::table_extent, 8> all{};
  std::size_t count = 0;
} named;

/// Where there is nothing to find: the constants of a library, and heddle's own tables.
class left_out {
 public:
  left_out() noexcept {
    for (const auto& table : heddle::detail::own_tables()) add(table);
    for (std::size_t i = 0; i != named.count; ++i) add(named.all[i]);
  }
  void set_constants(extent e) noexcept { parts_[0] = e; }
  /// Tells the sink of the rest of e, as far as the parts from number i on say.
  void tell_rest(root_sink& sink, extent e, std::size_t i = 0) const noexcept {
    if (e.from >= e.to) return;
    if (i > count_) return tell_copied(sink, reinterpret_cast<const void*>(e.from), e.to - e.from);
    const extent& part = parts_[i];
    if (part.from >= part.to || part.to <= e.from || part.from >= e.to) return tell_rest(sink, e, i + 1);
    tell_rest(sink, {e.from, part.from}, i + 1);
    tell_rest(sink, {part.to, e.to}, i + 1);
  }

 private:
  void add(const heddle::detail::table_extent& table) noexcept {
    const auto from = reinterpret_cast<std::uintptr_t>(table.from);
    if (count_ + 1 < parts_.size()) parts_[++count_] = {from, from + table.bytes};
  }

  std::array<extent, 24> parts_;
  std::size_t count_ = 0;  ///< tables, which stand behind the constants
};

struct scan {
  root_sink& sink;
  left_out parts;
};

int scan_library(dl_phdr_info* library, std::size_t, void* context) noexcept {
  auto& [sink, parts] = *static_cast<scan*>(context);
  parts.set_constants(read_only_pages(*library));
  for (int i = 0; i != library->dlpi_phnum; ++i) {
    const auto& header = library->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_W) == 0) continue;
    const std::uintptr_t from = library->dlpi_addr + header.p_vaddr;
    parts.tell_rest(sink, {from, from + header.p_memsz});
  }
  return 0;
}

}  // namespace

void scan_globals(root_sink& sink) noexcept {
  scan all{sink, {}};
  ::dl_iterate_phdr(scan_library, &all);
}

bool is_global(const void* p) noexcept {
  auto wanted = reinterpret_cast<std::uintptr_t>(p);
  const auto holds = [](dl_phdr_info* library, std::size_t, void* context) noexcept {
    const std::uintptr_t at = *static_cast<std::uintptr_t*>(context);
    for (int i = 0; i != library->dlpi_phnum; ++i) {
      const auto& header = library->dlpi_phdr[i];
      const bool changes = header.p_type == PT_LOAD && (header.p_flags & PF_W) != 0;
      if (changes && at - (library->dlpi_addr + header.p_vaddr) < header.p_memsz) return 1;
    }
    return 0;
  };
  return ::dl_iterate_phdr(holds, &wanted) != 0;
}

void leave_out(const void* variable, std::size_t bytes) noexcept {
  if (named.count != named.all.size()) named.all[named.count++] = {variable, bytes};
}

}  // namespace heddle::gc::detail
