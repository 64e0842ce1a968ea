// SPDX-License-Identifier: BSL-1.0
//
// Foreign code, since it carries no note of a split stack; see split_probe_x86_64.S.

    .text
    .globl heddle_foreign_probe
    .hidden heddle_foreign_probe
    .type heddle_foreign_probe, @function
heddle_foreign_probe:
    ret
    .size heddle_foreign_probe, . - heddle_foreign_probe

    .section .note.GNU-stack, "", @progbits
