// SPDX-License-Identifier: BSL-1.0
//
// dlopen() without RTLD_DEEPBIND. A library that is opened with that flag finds malloc() and free() in glibc, beside
// which it was linked, and not here. So blocks of one heap come back to the other (Debian's php opens its modules so).
// The only way to serve such a library is to open it without the flag. Every allocator that is preloaded needs that,
// and so does AddressSanitizer.
//
// glibc looks for a library in the namespace, with the RUNPATH and at the $ORIGIN of its caller, and knows the caller
// by the address to which it returns. So nothing may stand between: these two jump on with that address as it was.
#include <dlfcn.h>

extern "C" {

using heddle_opener = void();
/// glibc's dlopen and dlmopen; null until somebody calls.
__attribute__((visibility("hidden"))) constinit heddle_opener* heddle_next_dlopen = nullptr;
__attribute__((visibility("hidden"))) constinit heddle_opener* heddle_next_dlmopen = nullptr;

/// Called from the code below.
__attribute__((visibility("hidden"), used)) heddle_opener* heddle_find_dlopen() noexcept {
  return heddle_next_dlopen = reinterpret_cast<heddle_opener*>(::dlsym(RTLD_NEXT, "dlopen"));
}
__attribute__((visibility("hidden"), used)) heddle_opener* heddle_find_dlmopen() noexcept {
  return heddle_next_dlmopen = reinterpret_cast<heddle_opener*>(::dlsym(RTLD_NEXT, "dlmopen"));
}

}  // extern "C"

static_assert(RTLD_DEEPBIND == 8 && LM_ID_BASE == 0);

// dlopen(path, flags); dlmopen(namespace, path, flags), where another namespace than the program's has no preload, so
// that there the flag stays. Both jump on to glibc's function, which the first call finds.
asm(R"(
    .macro heddle_jump_on next, find
    movq \next(%rip), %rax
    testq %rax, %rax
    je 1f
    jmp *%rax
1:  pushq %rdi
    .cfi_adjust_cfa_offset 8
    pushq %rsi
    .cfi_adjust_cfa_offset 8
    pushq %rdx
    .cfi_adjust_cfa_offset 8
    call \find
    popq %rdx
    .cfi_adjust_cfa_offset -8
    popq %rsi
    .cfi_adjust_cfa_offset -8
    popq %rdi
    .cfi_adjust_cfa_offset -8
    jmp *%rax
    .endm

    .text
    .p2align 4
    .globl dlopen
    .type dlopen, @function
dlopen:
    .cfi_startproc
    endbr64
    andl $-9, %esi
    heddle_jump_on heddle_next_dlopen, heddle_find_dlopen
    .cfi_endproc
    .size dlopen, . - dlopen

    .p2align 4
    .globl dlmopen
    .type dlmopen, @function
dlmopen:
    .cfi_startproc
    endbr64
    testq %rdi, %rdi
    jne 2f
    andl $-9, %edx
2:  heddle_jump_on heddle_next_dlmopen, heddle_find_dlmopen
    .cfi_endproc
    .size dlmopen, . - dlmopen
)");
