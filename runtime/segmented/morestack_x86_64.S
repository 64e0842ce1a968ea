// SPDX-License-Identifier: BSL-1.0
//
// What the prologues of -fsplit-stack call when a frame does not fit: its function's body runs on a further segment.
//
// A prologue calls with the bytes of the frame in r10 and those of the arguments on the stack in r11; the instruction it
// would go on at lies one byte behind the return address, where a `ret` stands for us to return to when the body has
// returned. Everything else, rax and the vector registers too, is as the function was entered with it.
//
//     caller's frame | arguments | return to caller | return to prologue | rbp | segment | saved registers
//                    24(%rbp)     16(%rbp)           8(%rbp)              0     -8(%rbp)
//
// Unwinders see one frame whose caller is the function's caller. It is found from rbp, and the symbol is __morestack,
// which is how gdb knows that this frame may lie above the one that it has called; __morestack_non_split is its second
// entry. A throw that passes gives the segment back by the personality routine.
//
// Sources: the System V ABI, AMD64 supplement, sections 3.2 and 3.4; the split-stack notes of the gcc wiki (the
// contract of prologue, limit slot and linker); DWARF 5, section 6.4.

#include "layout.h"

    .section .note.GNU-split-stack, "", @progbits
    .section .note.GNU-no-split-stack, "", @progbits
    .text

// The machine that runs the thread, or null, into the register.
    .macro load_machine register
    movq heddle_thread_slot@gottpoff(%rip), \register
    movq %fs:(\register), \register
    .endm

    .globl __morestack
    .hidden __morestack
    .type __morestack, @function
    .p2align 4
    .cfi_startproc
    .cfi_personality 0x9b, heddle_segment_personality_address
__morestack_non_split_entry:
    .cfi_def_cfa_offset 16
    pushq %rbp
    .cfi_def_cfa_offset 24
    .cfi_offset %rbp, -24
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    pushq $1                          // the least class; becomes the segment
    jmp .Lcommon
    .p2align 4
__morestack:
    .cfi_def_cfa %rsp, 16
    .cfi_restore %rbp
    pushq %rbp
    .cfi_def_cfa_offset 24
    .cfi_offset %rbp, -24
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    pushq $0
.Lcommon:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rdi
    pushq %rsi
    load_machine %rax
    testq %rax, %rax
    jz .Lin_place                     // a plain thread
    movq HEDDLE_MACHINE_CURRENT(%rax), %rdi
    testq %rdi, %rdi
    jz .Lin_place
    movq HEDDLE_FIBER_MEMORY(%rdi), %rsi
    movq %rbp, %rdx
    subq HEDDLE_STACK_BOTTOM(%rsi), %rdx
    cmpq HEDDLE_STACK_SIZE(%rsi), %rdx
    jae .Lin_place                    // a signal handler on its own stack, or a context that is not ours
    movl -8(%rbp), %ecx
    movl %ecx, %edx
    shll $HEDDLE_HEADROOM_LOG, %edx
    addq %r10, %rdx
    addq %r11, %rdx
    cmpl HEDDLE_STACK_NEXT_CLASS(%rsi), %ecx
    cmovb HEDDLE_STACK_NEXT_CLASS(%rsi), %ecx
    shll $4, %ecx
    leaq HEDDLE_MACHINE_GROWTH(%rax, %rcx), %rcx
    cmpl $0, HEDDLE_MACHINE_LATE(%rax)
    jne .Lslow                        // past its slice
    movq (%rcx), %rax
    testq %rax, %rax
    jz .Lslow                         // no segment of that class at hand
    subq %rax, %rdx
    negq %rdx
    subq $HEDDLE_SEGMENT_PAD, %rdx
    cmpq HEDDLE_STACK_LIMIT(%rax), %rdx
    jl .Lslow                         // too small for this frame
    movq HEDDLE_STACK_NEXT(%rax), %rdx
    movq %rdx, (%rcx)
    decl HEDDLE_GROWTH_COUNT(%rcx)
    movq %rsi, HEDDLE_STACK_NEXT(%rax)
    movq %rbp, HEDDLE_STACK_CONTEXT(%rax)
    movq %rax, HEDDLE_FIBER_MEMORY(%rdi)
    movq HEDDLE_STACK_LIMIT(%rax), %rdx
    movq %rdx, HEDDLE_FIBER_LIMIT(%rdi)
    movq %rdx, %fs:HEDDLE_LIMIT_SLOT
    movq %rax, -8(%rbp)

// The body, on the stack whose top is rax, with a copy of its arguments aligned as they were. In this order, so that
// Valgrind sees a change of stacks first and then room being made.
.Lrun:
    movq %rax, %rsp
    leaq 24(%rbp), %rsi
    movl %esi, %edx
    andl $63, %edx
    subq %r11, %rax
    andq $-64, %rax
    leaq -64(%rax, %rdx), %rax
    movq 8(%rbp), %r10
    incq %r10
    testq %r11, %r11
    movq %rax, %rdi
    jz 1f
    movq %rax, %rsp
    movq %r11, %rcx
    rep movsb
1:  movq %rax, %rsp
    movq -40(%rbp), %rdi
    movq -48(%rbp), %rsi
    movq -32(%rbp), %rdx
    movq -24(%rbp), %rcx
    movq -16(%rbp), %rax
    callq *%r10

    movq -8(%rbp), %r10
    testq %r10, %r10
    jz .Lleave
    load_machine %rcx                 // the fiber may have moved
    testq %rcx, %rcx
    jz .Lleave                        // a forked child: its runtime is gone
    movq HEDDLE_MACHINE_CURRENT(%rcx), %rdi
    cmpq $0, HEDDLE_STACK_BLOCKS(%r10)
    jne .Lslow_return
    movl HEDDLE_STACK_NEXT_CLASS(%r10), %r11d
    shll $4, %r11d
    leaq HEDDLE_MACHINE_GROWTH-16(%rcx, %r11), %r11
    movl HEDDLE_GROWTH_COUNT(%r11), %esi
    cmpl HEDDLE_GROWTH_CAPACITY(%r11), %esi
    jae .Lslow_return
    movq HEDDLE_STACK_NEXT(%r10), %r8
    movq %r8, HEDDLE_FIBER_MEMORY(%rdi)
    movq HEDDLE_STACK_LIMIT(%r8), %r9
    movq %r9, HEDDLE_FIBER_LIMIT(%rdi)
    cmpl $0, HEDDLE_MACHINE_LATE(%rcx)
    jne .Lreturn_marked
1:  movq %r9, %fs:HEDDLE_LIMIT_SLOT
2:  incl %esi
    movl %esi, HEDDLE_GROWTH_COUNT(%r11)
    movq (%r11), %r9
    movq %r9, HEDDLE_STACK_NEXT(%r10)
    movq %r10, (%r11)
.Lleave:
    movq %rbp, %rsp
    popq %rbp
    .cfi_remember_state
    .cfi_def_cfa %rsp, 16
    ret
    .cfi_restore_state

// Past its slice: the mark, if it is in the slot, stays there for the next prologue.
.Lreturn_marked:
    movq %fs:HEDDLE_LIMIT_SLOT, %rcx
    btq $HEDDLE_MARK_BIT, %rcx
    jnc 1b
    jmp 2b

.Lin_place:
    movq $0, -8(%rbp)
    movq %rsp, %rax
    jmp .Lrun

// The machine has no segment of the class, or the fiber is past its slice: heddle_grow() sees to it, on the machine's
// home stack, which has room for it. It returns the segment, or null: in place; and whether to yield.
.Lslow:
    load_machine %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    movl -8(%rbp), %ecx               // foreign
    movq %rax, %rdi
    movq %r10, %rsi
    movq %r11, %rdx
    movq %rbp, %r8
    movq HEDDLE_MACHINE_HOME_CONTEXT(%rax), %rsp
    callq heddle_save_vectors
    callq heddle_grow
    callq heddle_restore_vectors
    leaq -80(%rbp), %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    movq %rax, -8(%rbp)
    testq %rax, %rax
    jz .Lin_place
    testl %edx, %edx
    jz .Lrun
    // On the new segment first, where the registers have room while others run.
    movq %rax, %rsp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    callq heddle_save_vectors
    callq heddle_preempt
    callq heddle_restore_vectors
    movq -8(%rbp), %rax
    movq -8(%rax), %r8
    movq -16(%rax), %r9
    movq -24(%rax), %r10
    movq -32(%rax), %r11
    jmp .Lrun

// More segments are kept than need be, or allocas belong to this one.
.Lslow_return:
    movq %rcx, %rdi
    movq %rax, -56(%rbp)              // below the saved registers, within the reserve
    movq %rdx, -64(%rbp)
    movq HEDDLE_MACHINE_HOME_CONTEXT(%rcx), %rsp
    callq heddle_save_vectors
    callq heddle_shrink
    callq heddle_restore_vectors
    movq -56(%rbp), %rax
    movq -64(%rbp), %rdx
    jmp .Lleave
    .cfi_endproc
    .size __morestack, . - __morestack

    .globl __morestack_non_split
    .hidden __morestack_non_split
    .type __morestack_non_split, @function
    .set __morestack_non_split, __morestack_non_split_entry

// Makes room on the stack for the vector registers, aligned, and saves them there; the stack pointer before is kept above
// them. Uses r9 and r10 only.
    .type heddle_save_vectors, @function
    .p2align 4
heddle_save_vectors:
    .cfi_startproc
    popq %r10
    .cfi_def_cfa_offset 0
    .cfi_register %rip, %r10
    movq %rsp, %r9
    subq $(HEDDLE_VECTOR_AREA + 64), %rsp
    andq $-64, %rsp
    movq %r9, HEDDLE_VECTOR_AREA(%rsp)
    cmpb $0, heddle_has_xsave(%rip)
    je 1f
    movq %rax, HEDDLE_VECTOR_AREA+8(%rsp)
    movq %rdx, HEDDLE_VECTOR_AREA+16(%rsp)
    xorl %eax, %eax
    movq %rax, 512(%rsp)
    movq %rax, 520(%rsp)
    movq %rax, 528(%rsp)
    movq %rax, 536(%rsp)
    movq %rax, 544(%rsp)
    movq %rax, 552(%rsp)
    movq %rax, 560(%rsp)
    movq %rax, 568(%rsp)
    movl $HEDDLE_VECTOR_MASK, %eax
    xorl %edx, %edx
    xsave64 (%rsp)
    movq HEDDLE_VECTOR_AREA+8(%rsp), %rax
    movq HEDDLE_VECTOR_AREA+16(%rsp), %rdx
    jmpq *%r10
1:  fxsave64 (%rsp)
    jmpq *%r10
    .cfi_endproc
    .size heddle_save_vectors, . - heddle_save_vectors

// The reverse; keeps rax and rdx.
    .type heddle_restore_vectors, @function
    .p2align 4
heddle_restore_vectors:
    .cfi_startproc
    popq %r10
    .cfi_def_cfa_offset 0
    .cfi_register %rip, %r10
    cmpb $0, heddle_has_xsave(%rip)
    je 1f
    movq %rax, %r8
    movq %rdx, %r9
    movl $HEDDLE_VECTOR_MASK, %eax
    xorl %edx, %edx
    xrstor64 (%rsp)
    movq %r8, %rax
    movq %r9, %rdx
    movq HEDDLE_VECTOR_AREA(%rsp), %rsp
    jmpq *%r10
1:  fxrstor64 (%rsp)
    movq HEDDLE_VECTOR_AREA(%rsp), %rsp
    jmpq *%r10
    .cfi_endproc
    .size heddle_restore_vectors, . - heddle_restore_vectors

// void heddle_call_with_room(void (*f)(void*), void* argument, size_t bytes): calls f where so much of the stack is free, on a
// further segment if need be. A function with a prologue, so to say, whose frame is an argument.
    .globl heddle_call_with_room
    .hidden heddle_call_with_room
    .type heddle_call_with_room, @function
    .p2align 4
heddle_call_with_room:
    .cfi_startproc
    movq %rsp, %r11
    subq %rdx, %r11
    jb 1f
    cmpq %fs:HEDDLE_LIMIT_SLOT, %r11
    jb 1f
2:  movq %rdi, %rax
    movq %rsi, %rdi
    jmpq *%rax
1:  movq %rdx, %r10
    xorl %r11d, %r11d
    callq __morestack_non_split
    ret
    jmp 2b
    .cfi_endproc
    .size heddle_call_with_room, . - heddle_call_with_room

// void heddle_call_on(void* top, void (*f)(void*), void* argument): calls f on another stack.
    .globl heddle_call_on
    .hidden heddle_call_on
    .type heddle_call_on, @function
    .p2align 4
heddle_call_on:
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq %rdi, %rsp
    andq $-64, %rsp
    movq %rdx, %rdi
    callq *%rsi
    movq %rbp, %rsp
    popq %rbp
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size heddle_call_on, . - heddle_call_on

    .section .data.rel.local, "aw", @progbits
    .p2align 3
heddle_segment_personality_address:
    .quad heddle_segment_personality

    .section .note.GNU-stack, "", @progbits
