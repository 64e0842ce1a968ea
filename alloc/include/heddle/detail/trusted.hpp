// SPDX-License-Identifier: BSL-1.0
//
// Included by the sources that code compiled with -fsplit-stack calls on small stacks: their frames stay within the
// reserve below the limit (segment.hpp), and what needs more runs on the home stack. The notes tell the linker so; it
// raises nobody's headroom for calls of these functions, and looks for no prologues in them.
#pragma once

#if !defined(HEDDLE_MODEL) || !HEDDLE_MODEL
asm(".pushsection .note.GNU-split-stack, \"\", @progbits\n"
    ".popsection\n"
    ".pushsection .note.GNU-no-split-stack, \"\", @progbits\n"
    ".popsection\n");
#endif
