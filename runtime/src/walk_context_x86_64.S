// SPDX-License-Identifier: BSL-1.0
//
// Has an unwinder walk over the frames of a suspended context, from another stack: nothing is written to the context's
// own. Source: DWARF 4, section 6.4.2.3, and the System V ABI, AMD64 supplement, for the numbers of registers.

    .text

// Register `number` lies `offset` bytes beyond what rbx points to: DW_CFA_expression, by DW_OP_breg3.
    .macro lies_at number, offset
    .cfi_escape 0x10, \number, 0x02, 0x73, \offset
    .endm

// void heddle_walk_context(const saved_registers* from, void (*f)(void*), void* argument): calls f(argument). To an
// unwinder the caller of this function is the context whose registers are in *from (fiber_waits.cpp).
    .globl heddle_walk_context
    .hidden heddle_walk_context
    .type heddle_walk_context, @function
    .p2align 4
heddle_walk_context:
    .cfi_startproc
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    movq %rdi, %rbx
    movq %rdx, %rdi
    .cfi_remember_state
    // The stack pointer of the caller is the first word of *from: DW_CFA_def_cfa_expression, DW_OP_breg3, DW_OP_deref.
    .cfi_escape 0x0f, 0x03, 0x73, 0x00, 0x06
    lies_at 16, 8                     // rip
    lies_at 3, 16                     // rbx
    lies_at 6, 24                     // rbp
    lies_at 12, 32
    lies_at 13, 40
    lies_at 14, 48
    lies_at 15, 56
    callq *%rsi
    nop                               // unwinders look up the address before the one returned to
    .cfi_restore_state
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_endproc
    .size heddle_walk_context, . - heddle_walk_context

    .section .note.GNU-stack, "", @progbits
