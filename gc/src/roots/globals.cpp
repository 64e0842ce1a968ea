// SPDX-License-Identifier: BSL-1.0
#include "roots/globals.hpp"

#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "roots/copied_words.hpp"

namespace heddle::gc::detail {
namespace {

struct extent {
  std::uintptr_t from = 0, to = 0;
};

void tell(root_sink& sink, extent e) noexcept {
  if (e.from < e.to) tell_copied(sink, reinterpret_cast<const void*>(e.from), e.to - e.from);
}

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

int scan_library(dl_phdr_info* library, std::size_t, void* to) noexcept {
  root_sink& sink = *static_cast<root_sink*>(to);
  const extent constant = read_only_pages(*library);
  for (int i = 0; i != library->dlpi_phnum; ++i) {
    const auto& header = library->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_W) == 0) continue;
    const std::uintptr_t from = library->dlpi_addr + header.p_vaddr;
    const extent segment{from, from + header.p_memsz};
    if (constant.from >= constant.to || constant.to <= segment.from || constant.from >= segment.to) {
      tell(sink, segment);
    } else {
      tell(sink, {segment.from, constant.from});
      tell(sink, {std::max(segment.from, constant.to), segment.to});
    }
  }
  return 0;
}

}  // namespace

void scan_globals(root_sink& sink) noexcept { ::dl_iterate_phdr(scan_library, &sink); }

}  // namespace heddle::gc::detail
