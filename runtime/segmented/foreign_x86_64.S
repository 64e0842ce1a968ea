// SPDX-License-Identifier: BSL-1.0
//
// Entries for the foreign functions that compilers call by themselves, or C++ programs at every turn. segmented/as makes
// calls of `name` calls of `heddle_call.name`, for the names that stand here, so that the linker need not raise the
// headroom of every function that has a destructor or makes a string.
//
//   small: needs less than a third of the reserve below the limit, and calls nothing by way of a PLT, since the first
//          such call of a process takes 3 KiB to bind: a jump.
//   large: has the headroom, on a further segment if need be.

#include "layout.h"

    .section .note.GNU-split-stack, "", @progbits
    .section .note.GNU-no-split-stack, "", @progbits
    .text

    .macro small name
    .globl heddle_call.\name
    .hidden heddle_call.\name
    .type heddle_call.\name, @function
    .p2align 3
heddle_call.\name:
    .cfi_startproc
    jmpq *\name@GOTPCREL(%rip)
    .cfi_endproc
    .size heddle_call.\name, . - heddle_call.\name
    .endm

    .macro large name
    .globl heddle_call.\name
    .hidden heddle_call.\name
    .type heddle_call.\name, @function
    .p2align 4
heddle_call.\name:
    .cfi_startproc
    {disp32} leaq -(1 << HEDDLE_HEADROOM_LOG)(%rsp), %r11
    cmpq %fs:HEDDLE_LIMIT_SLOT, %r11
    jb 1f
2:  jmpq *\name@GOTPCREL(%rip)
1:  xorl %r10d, %r10d
    xorl %r11d, %r11d
    callq __morestack_non_split
    ret
    jmp 2b
    .cfi_endproc
    .size heddle_call.\name, . - heddle_call.\name
    .endm

// A longjmp leaves the segments between: heddle_step_to(stack pointer) gives them back first. glibc keeps the stack pointer
// in the seventh word, rotated and under the thread's pointer guard. The checked variant would take a segment at a higher
// address for a frame that is gone.
    .macro jump name target
    .globl heddle_call.\name
    .hidden heddle_call.\name
    .type heddle_call.\name, @function
    .p2align 4
heddle_call.\name:
    .cfi_startproc
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    pushq %rsi
    .cfi_adjust_cfa_offset 8
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    movq 48(%rdi), %rdi
    rorq $17, %rdi
    xorq %fs:0x30, %rdi
    callq heddle_step_to
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %rsi
    .cfi_adjust_cfa_offset -8
    popq %rdi
    .cfi_adjust_cfa_offset -8
    jmpq *\target@GOTPCREL(%rip)
    .cfi_endproc
    .size heddle_call.\name, . - heddle_call.\name
    .endm

    jump longjmp, longjmp
    jump _longjmp, longjmp
    jump siglongjmp, siglongjmp
    jump __longjmp_chk, siglongjmp

// Memory and strings
    small memcpy
    small memmove
    small memset
    small memcmp
    small memchr
    small strlen
    small strcmp
    small strncmp
    small strchr
    large malloc
    large calloc
    large realloc
    large free

// operator new and delete: plain, sized, aligned, for arrays, nothrow
    large _Znwm
    large _Znam
    large _ZnwmSt11align_val_t
    large _ZnamSt11align_val_t
    large _ZnwmRKSt9nothrow_t
    large _ZnamRKSt9nothrow_t
    large _ZdlPv
    large _ZdaPv
    large _ZdlPvm
    large _ZdaPvm
    large _ZdlPvSt11align_val_t
    large _ZdaPvSt11align_val_t
    large _ZdlPvmSt11align_val_t
    large _ZdaPvmSt11align_val_t

// Exceptions
    large __cxa_allocate_exception
    large __cxa_free_exception
    large __cxa_throw
    large __cxa_rethrow
    large __cxa_begin_catch
    large __cxa_end_catch
    large __cxa_get_exception_ptr
    large _Unwind_Resume
    large _ZSt9terminatev
    large __cxa_bad_cast
    large __cxa_bad_typeid
    large __cxa_pure_virtual
    large __cxa_throw_bad_array_new_length
    large _ZSt17__throw_bad_allocv
    large _ZSt28__throw_bad_array_new_lengthv
    large _ZSt20__throw_length_errorPKc
    large _ZSt19__throw_logic_errorPKc
    large _ZSt20__throw_out_of_rangePKc
    large _ZSt24__throw_out_of_range_fmtPKcz
    large _ZSt24__throw_invalid_argumentPKc
    large _ZSt20__throw_system_errori
    large _ZSt25__throw_bad_function_callv
    large _ZNSt9exceptionD2Ev
    large _ZNSt11logic_errorC1EPKc
    large _ZNSt11logic_errorC2EPKc
    large _ZNSt11logic_errorD1Ev
    large _ZNSt11logic_errorD2Ev
    large _ZNSt13runtime_errorC1EPKc
    large _ZNSt13runtime_errorC2EPKc
    large _ZNSt13runtime_errorD1Ev
    large _ZNSt13runtime_errorD2Ev
    large _ZNSt16invalid_argumentC1EPKc
    large _ZNSt16invalid_argumentD1Ev
    large _ZNSt12out_of_rangeC1EPKc
    large _ZNSt12out_of_rangeD1Ev
    large _ZSt17current_exceptionv
    large _ZSt17rethrow_exceptionNSt15__exception_ptr13exception_ptrE
    large _ZNSt15__exception_ptr13exception_ptr9_M_addrefEv
    large _ZNSt15__exception_ptr13exception_ptr10_M_releaseEv
    large _ZSt18uncaught_exceptionv
    large _ZSt19uncaught_exceptionsv
    large __stack_chk_fail

// What else the compiler calls
    large __cxa_guard_acquire
    large __cxa_guard_release
    large __cxa_guard_abort
    large __cxa_atexit
    large __dynamic_cast

// std::string's own
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_createERmm
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE10_M_disposeEv
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_assignERKS4_
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_appendEPKcm
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_mutateEmmPKcm
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE10_M_replaceEmmPKcm
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE14_M_replace_auxEmmmc
    large _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE12_M_constructEmc

// What each std::error_code begins with
    small _ZNSt3_V215system_categoryEv
    small _ZNSt3_V216generic_categoryEv

// Clocks, atomics, processors
    large clock_gettime
    large _ZNSt6chrono3_V212steady_clock3nowEv
    large _ZNSt6chrono3_V212system_clock3nowEv
    small sched_yield
    small __errno_location

    .section .note.GNU-stack, "", @progbits
