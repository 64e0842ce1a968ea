// SPDX-License-Identifier: BSL-1.0
//
// Shows the layout of a suspended context, whatever code switches the stacks (switch_x86_64.S, and beneath it Boost.Context,
// whose layout differs from version to version): see debug_layout.cpp.

    .text

#if defined(HEDDLE_FAST_SWITCH) && HEDDLE_FAST_SWITCH
#define SWITCH heddle_switch
#else
#define SWITCH heddle_jump
#endif

    .macro save register
    pushq %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %\register, 0
    .endm
    .macro restore register
    popq %\register
    .cfi_adjust_cfa_offset -8
    .cfi_restore %\register
    .endm

// void heddle_show_context(void* to, uint64_t* words): suspends itself by a switch to `to`, a context of
// heddle_shown_context, with known values in the registers that a context has.
    .globl heddle_show_context
    .hidden heddle_show_context
    .type heddle_show_context, @function
    .p2align 4
heddle_show_context:
    .cfi_startproc
    save rbp
    save rbx
    save r12
    save r13
    save r14
    save r15
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    movabsq $0x686564646c650001, %rbx
    leaq 1(%rbx), %rbp
    leaq 2(%rbx), %r12
    leaq 3(%rbx), %r13
    leaq 4(%rbx), %r14
    leaq 5(%rbx), %r15
    call SWITCH
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    restore r15
    restore r14
    restore r13
    restore r12
    restore rbx
    restore rbp
    ret
    .cfi_endproc
    .size heddle_show_context, . - heddle_show_context

// Entered with the context of the function above and its words: copies the first sixteen, and goes back.
    .globl heddle_shown_context
    .hidden heddle_shown_context
    .type heddle_shown_context, @function
    .p2align 4
heddle_shown_context:
    .cfi_startproc
    .cfi_undefined %rip
    subq $8, %rsp
    movq %rdi, %rax
    movq %rsi, %rdi
    movq %rax, %rsi
    movl $16, %ecx
    cld
    rep movsq
    movq %rax, %rdi
    xorl %esi, %esi
    call SWITCH
    ud2
    .cfi_endproc
    .size heddle_shown_context, . - heddle_shown_context

    .section .note.GNU-stack, "", @progbits
