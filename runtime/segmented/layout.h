// SPDX-License-Identifier: BSL-1.0
//
// What the assembly of segmented stacks knows of the runtime's types; src/segment.cpp asserts each line.
#define HEDDLE_STACK_NEXT 0
#define HEDDLE_STACK_BOTTOM 8
#define HEDDLE_STACK_SIZE 16
#define HEDDLE_STACK_LIMIT 24
#define HEDDLE_STACK_CONTEXT 40
#define HEDDLE_STACK_BLOCKS 48
#define HEDDLE_STACK_NEXT_CLASS 60

#define HEDDLE_FIBER_MEMORY 24
#define HEDDLE_FIBER_LIMIT 32

#define HEDDLE_MACHINE_CURRENT 16
#define HEDDLE_MACHINE_HOME_CONTEXT 48
#define HEDDLE_MACHINE_GROWTH 120
#define HEDDLE_MACHINE_LATE 328

// A growth_list: head, count, capacity; 16 bytes.
#define HEDDLE_GROWTH_COUNT 8
#define HEDDLE_GROWTH_CAPACITY 12

// %fs:HEDDLE_LIMIT_SLOT is where the prologues of -fsplit-stack look: gcc's ABI. 0 on stacks that do not grow.
#define HEDDLE_LIMIT_SLOT 0x70
// Set in the slot, never in a limit: the next prologue is to call __morestack.
#define HEDDLE_MARK_BIT 62

// What foreign code may count on, as a power of two: the linkers' and segmented/as's headroom.
#define HEDDLE_HEADROOM_LOG 14
// Kept of a segment for the alignment of arguments that are copied into it.
#define HEDDLE_SEGMENT_PAD 128
// Where vector registers are saved: XSAVE's area up to AVX-512, of the components in the mask.
#define HEDDLE_VECTOR_AREA 2752
#define HEDDLE_VECTOR_MASK 0xe6
