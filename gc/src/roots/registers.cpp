// SPDX-License-Identifier: BSL-1.0
//
// Source: the kernel's arch/x86/include/uapi/asm/sigcontext.h: the frame says itself how large its XSAVE area is.
#include "roots/registers.hpp"

#include <asm/sigcontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace heddle::gc::detail {

namespace {

constexpr std::size_t legacy_area = 512;      // x87 and SSE, which are always there
constexpr std::size_t legacy_words_to = 416;  // behind them the kernel's own words

}  // namespace

void scan_registers(const ucontext_t& context, root_sink& sink) noexcept {
  const auto& general = context.uc_mcontext.gregs;
  sink.words(general, general + REG_RIP);  // r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp
  const auto* const area = reinterpret_cast<const char*>(context.uc_mcontext.fpregs);
  if (area == nullptr) return;
  sink.words(area, area + legacy_words_to);
  _fpx_sw_bytes says;
  std::memcpy(&says, area + offsetof(_fpstate, sw_reserved), sizeof says);
  if (says.magic1 != FP_XSTATE_MAGIC1 || says.xstate_size <= legacy_area) return;
  sink.words(area + legacy_area, area + (says.xstate_size & ~std::uint32_t{7}));
}

void forget_vectors() noexcept {
  if (!__builtin_cpu_supports("avx")) return;  // made before 2011: an object may be found dead later
  asm volatile("vzeroall"
               :
               :
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                 "xmm12", "xmm13", "xmm14", "xmm15");
  if (!__builtin_cpu_supports("avx512f")) return;
  asm volatile(
      ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n\t"
      "vpxorq %zmm\\n, %zmm\\n, %zmm\\n\n\t"
      ".endr");
}

}  // namespace heddle::gc::detail
