# SPDX-License-Identifier: BSL-1.0
#
# heddle's fibers in gdb, in a live process or a core, with or without debug information:
#
#     info fibers           every fiber: number, state, name, and where it waits
#     fiber 17 bt           the stack of a fiber that waits; any other command may stand for bt
#
# gdb loads this file by itself beside an installed library (see `info auto-load`); else: source heddle-gdb.py

import struct

import gdb
import gdb.unwinder

STATES = ('free', 'not yet run', 'no memory for its stack', 'runnable', 'running', 'parked', 'lends its stack', 'ended',
          'of the parent')
HAS_CONTEXT = ('runnable', 'parked')
# What lies at a suspended context, in words from its address.
REGISTERS = (
    {'r12': 1, 'r13': 2, 'r14': 3, 'r15': 4, 'rbx': 5, 'rbp': 6, 'rip': 7},  # Boost.Context: first the control words
    {'r15': 0, 'r14': 1, 'r13': 2, 'r12': 3, 'rbx': 4, 'rbp': 5, 'rip': 6},  # HEDDLE_SWITCH=fast
)


def words(address, count):
    memory = gdb.selected_inferior().read_memory(address, 8 * count)
    return struct.unpack('<%dQ' % count, bytes(memory))


def word(address):
    return words(address, 1)[0]


class Layout:
    """What heddle::detail::debug_layout says of the process's heddle."""

    NAMES = ('version context_kind pool pool_slabs slab_size slab_fibers slab_used fiber_size fiber_state fiber_id '
             'fiber_name fiber_context fiber_memory stack_bottom stack_size').split()

    def __init__(self):
        try:
            address = int(gdb.parse_and_eval("(char*) &'heddle::detail::debug_layout'"))
        except gdb.error:
            raise gdb.GdbError('There is no heddle in this program, or it does not run yet.')
        for name, value in zip(self.NAMES, words(address, len(self.NAMES))):
            setattr(self, name, value)
        if self.version != 1:
            raise gdb.GdbError('This script knows version 1 of the layout; the program has %d.' % self.version)


class Fiber:
    def __init__(self, layout, address):
        self.number = word(address + layout.fiber_id)
        state = word(address + layout.fiber_state) & 0xffffffff
        self.state = STATES[state] if state < len(STATES) else '?'
        name = word(address + layout.fiber_name)
        self.name = gdb.selected_inferior().read_memory(name, 256) if name else None
        if self.name is not None:
            self.name = bytes(self.name).split(b'\0')[0].decode('utf-8', 'replace')
        self.context = word(address + layout.fiber_context)
        self.kind = layout.context_kind

    def registers(self):
        places = REGISTERS[self.kind]
        found = {name: word(self.context + 8 * place) for name, place in places.items()}
        found['rsp'] = self.context + 8 * (places['rip'] + 1)
        return found


def fibers():
    layout = Layout()
    slab, end = words(layout.pool + layout.pool_slabs, 2)
    while slab != end:
        first = word(slab + layout.slab_fibers)
        for i in range(word(slab + layout.slab_used)):
            fiber = Fiber(layout, first + i * layout.fiber_size)
            if fiber.state not in ('free', 'of the parent'):  # of the process that this one was forked from
                yield fiber
        slab += layout.slab_size


class FiberUnwinder(gdb.unwinder.Unwinder):
    """While a fiber is set, the innermost frame's caller is the fiber's switch."""

    class FrameId:
        def __init__(self, sp, pc):
            self.sp, self.pc = sp, pc

    def __init__(self):
        super().__init__('heddle fibers')
        self.fiber = None

    def __call__(self, pending):
        if self.fiber is None or pending.read_register('rsp') != self.real_sp:
            return None
        info = pending.create_unwind_info(self.FrameId(pending.read_register('rsp'), pending.read_register('rip')))
        for name, value in self.fiber.registers().items():
            info.add_saved_register(name, gdb.Value(value).cast(gdb.lookup_type('long')))
        return info

    def look_at(self, fiber):
        self.fiber = None
        gdb.invalidate_cached_frames()
        self.real_sp = gdb.newest_frame().read_register('rsp') if fiber else None
        self.fiber = fiber
        gdb.invalidate_cached_frames()


unwinder = FiberUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


class at_fiber:
    """with at_fiber(f): the frames are those of f, from number 1 on; the selected one is its innermost."""

    def __init__(self, fiber):
        self.fiber = fiber

    def __enter__(self):
        unwinder.look_at(self.fiber)
        frame = gdb.newest_frame().older()
        if frame is not None:
            frame.select()

    def __exit__(self, *_):
        unwinder.look_at(None)
        gdb.newest_frame().select()


# How the names of functions begin that are not the user's.
OURS = ('heddle::', 'heddle_', 'jump_fcontext', 'make_fcontext', '__morestack', 'boost::context')


def waiting_place():
    """The innermost frame that is the user's."""
    frame = gdb.newest_frame().older()
    for _ in range(64):
        if frame is None:
            return ''
        name = frame.name()
        if name and not name.startswith(OURS):
            line = frame.find_sal()
            where = ' at %s:%d' % (line.symtab.filename, line.line) if line.symtab else ''
            return name + where
        frame = frame.older()
    return ''


class InfoFibers(gdb.Command):
    """List heddle's fibers: number, state, name, and where a waiting one waits (for the first 200 of them)."""

    def __init__(self):
        super().__init__('info fibers', gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        print('%-8s %-16s %-20s %s' % ('Fiber', 'State', 'Name', 'Where'))
        for count, fiber in enumerate(fibers()):
            where = ''
            if fiber.state in HAS_CONTEXT and count < 200:
                with at_fiber(fiber):
                    where = waiting_place()
            print(('%-8d %-16s %-20s %s' % (fiber.number, fiber.state, fiber.name or '', where)).rstrip())


class FiberCommand(gdb.Command):
    """fiber NUMBER [COMMAND]: run a command of gdb, bt if none is given, on the stack of a fiber that waits."""

    def __init__(self):
        super().__init__('fiber', gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        number, _, command = argument.strip().partition(' ')
        if not number.isdigit():
            raise gdb.GdbError('fiber: give the number of a fiber, as info fibers shows it')
        for fiber in fibers():
            if fiber.number == int(number):
                break
        else:
            raise gdb.GdbError('fiber: there is no fiber %s' % number)
        if fiber.state not in HAS_CONTEXT:
            raise gdb.GdbError('fiber: fiber %s has no suspended stack: %s' % (number, fiber.state))
        with at_fiber(fiber):
            text = gdb.execute(command.strip() or 'bt', False, True)
        # Frame 0 is the thread that lent its place.
        print(''.join(l for l in text.splitlines(True) if not l.startswith('#0 ')), end='')


InfoFibers()
FiberCommand()
