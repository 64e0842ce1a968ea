// SPDX-License-Identifier: BSL-1.0
//
// A function as -fsplit-stack makes them, which calls foreign code and is never called itself: the linker has raised the
// headroom of its prologue, or it raises none.

#include "layout.h"

    .section .note.GNU-split-stack, "", @progbits
    .text
    .globl heddle_split_probe
    .hidden heddle_split_probe
    .type heddle_split_probe, @function
    .p2align 4
heddle_split_probe:
    .cfi_startproc
    {disp32} leaq -64(%rsp), %r11
    cmpq %fs:HEDDLE_LIMIT_SLOT, %r11
    jb 1f
2:  jmp heddle_foreign_probe
1:  movl $64, %r10d
    xorl %r11d, %r11d
    callq __morestack
    ret
    jmp 2b
    .cfi_endproc
    .size heddle_split_probe, . - heddle_split_probe

    .section .note.GNU-stack, "", @progbits
