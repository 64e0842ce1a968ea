# SPDX-License-Identifier: BSL-1.0
#
# heddle's fibers in gdb, in a live process or a core, with or without debug information:
#
#     info fibers           every fiber: number, state, name, and where it waits, at which descriptor
#     fiber 17 bt           the stack of a fiber that waits; any other command may stand for bt
#
# gdb loads this file by itself beside an installed library (see `info auto-load`); else: source heddle-gdb.py

import ipaddress
import os
import re
import struct

import gdb
import gdb.unwinder

STATES = ('free', 'not yet run', 'no memory for its stack', 'runnable', 'running', 'parked', 'lends its stack', 'ended',
          'of the parent')
HAS_CONTEXT = ('runnable', 'parked')
AIMS = ('to read from', 'to write to', 'to close')  # of a descriptor_wait
REGISTERS = ('rbx', 'rbp', 'r12', 'r13', 'r14', 'r15', 'rip')


def words(address, count):
    memory = gdb.selected_inferior().read_memory(address, 8 * count)
    return struct.unpack('<%dQ' % count, bytes(memory))


def word(address):
    return words(address, 1)[0]


class Layout:
    """What heddle::detail::debug_layout says of the process's heddle."""

    NAMES = ('version context_kind pool pool_slabs slab_size slab_fibers slab_used fiber_size fiber_state fiber_id '
             'fiber_name fiber_context fiber_memory stack_bottom stack_size').split()
    NAMES += ['context_' + register for register in REGISTERS]
    NAMES += 'fiber_waits_at wait_is_descriptor wait_number wait_aim'.split()

    def __init__(self):
        try:
            address = int(gdb.parse_and_eval("(char*) &'heddle::detail::debug_layout'"))
            version = word(address)
        except gdb.MemoryError:
            raise gdb.GdbError('The program does not run.')
        except gdb.error:
            raise gdb.GdbError('There is no heddle in this program, or it does not run yet, or its symbols were stripped.')
        if version != 3:
            raise gdb.GdbError('This script knows version 3 of the layout; the program has %d.' % version)
        for name, value in zip(self.NAMES, words(address, len(self.NAMES))):
            setattr(self, name, value)


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
        self.waits_at = address + layout.fiber_waits_at
        self.layout = layout

    def has_context(self):
        return self.state in HAS_CONTEXT and self.layout.context_rip != 0

    def descriptor_wait(self, sockets):
        """What it waits for at which descriptor, and what that is; empty if it waits for something else."""
        at = word(self.waits_at)
        if self.state != 'parked' or at & 7 != self.layout.wait_is_descriptor:
            return ''
        at -= self.layout.wait_is_descriptor
        number, aim = word(at + self.layout.wait_number) & 0xffffffff, word(at + self.layout.wait_aim) & 0xffffffff
        what = sockets.name_of(number)
        return 'waits %s descriptor %d%s' % (AIMS[aim], number, what and ' (%s)' % what)

    def registers(self):
        found = {name: word(self.context + getattr(self.layout, 'context_' + name)) for name in REGISTERS}
        found['rsp'] = self.context + self.layout.context_rip + 8
        return found


def endpoint(text):
    """An address of /proc/net/tcp, '0100007F:1F90', as 127.0.0.1:8080: words of the machine, then the port."""
    host, port = text.split(':')
    raw = b''.join(bytes.fromhex(host[i:i + 8])[::-1] for i in range(0, len(host), 8))
    address = ipaddress.ip_address(raw)
    return ('[%s]:%d' if address.version == 6 else '%s:%d') % (address, int(port, 16))


class Sockets:
    """What the descriptors of the process are, as /proc tells it while the process lives on this machine."""

    def __init__(self):
        self.found = None
        connection = getattr(gdb.selected_inferior(), 'connection', None)
        self.here = connection is not None and connection.type == 'native'  # of a core the number may be another's by now

    def name_of(self, number):
        if not self.here:
            return ''
        process = '/proc/%d' % gdb.selected_inferior().pid
        try:
            link = os.readlink('%s/fd/%d' % (process, number))
        except OSError:
            return ''
        if self.found is None:
            self.found = {}
            for kind in ('tcp', 'tcp6', 'udp', 'udp6'):
                self.read_internet('%s/net/%s' % (process, kind))
            self.read_unix(process + '/net/unix')
        return self.found.get(link, link)

    def note(self, inode, name):
        self.found['socket:[%s]' % inode] = name

    def rows(self, path):
        try:
            with open(path, errors='replace') as table:
                return [line.split() for line in table][1:]
        except OSError:  # a kernel without that protocol
            return []

    def read_internet(self, path):
        for row in self.rows(path):
            own, peer = endpoint(row[1]), endpoint(row[2])
            self.note(row[9], own if peer.endswith(':0') else own + ' - ' + peer)

    def read_unix(self, path):
        for row in self.rows(path):
            if len(row) > 7:  # it has a name
                self.note(row[6], row[7])


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
    """While a fiber is set, the caller of the selected thread's innermost frame is the fiber's switch.

    That frame says that it lies just below the fiber's context, not where it does: gdb ends a backtrace at a frame that lies
    below the one it called.
    """

    class FrameId:
        def __init__(self, sp, pc):
            self.sp, self.pc = sp, pc

    def __init__(self):
        super().__init__('heddle fibers')
        self.fiber = None

    def __call__(self, pending):
        if self.fiber is None or pending.read_register('rsp') != self.real_sp:
            return None
        info = pending.create_unwind_info(self.FrameId(gdb.Value(self.fiber.context), pending.read_register('rip')))
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


def innermost():
    """The innermost frame of the fiber that is looked at: the first behind the thread's newest one and the functions
    inlined there."""
    frame = gdb.newest_frame()
    while frame is not None and frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return frame.older() if frame is not None else None


class at_fiber:
    """with at_fiber(f) as frame: the frames are those of f, of which the innermost is selected, and given; or None."""

    # gdb goes no further than main and the entry, even if the thread that lends its place is there.
    LIMITS = ('backtrace past-main', 'backtrace past-entry')

    def __init__(self, fiber):
        self.fiber = fiber

    def __enter__(self):
        self.limits = [(limit, gdb.parameter(limit)) for limit in self.LIMITS]
        self.selected = gdb.selected_frame().level()
        for limit in self.LIMITS:
            gdb.execute('set %s on' % limit, False, True)
        unwinder.look_at(self.fiber)
        frame = innermost()
        if frame is not None:
            frame.select()
        return frame

    def __exit__(self, *_):
        unwinder.look_at(None)
        for limit, was in self.limits:
            gdb.execute('set %s %s' % (limit, 'on' if was else 'off'), False, True)
        frame = gdb.newest_frame()  # the command `frame` would print it
        for _ in range(self.selected):
            frame = frame.older()
        frame.select()


# Names of functions that are not the user's begin so, and names of files that are not the user's contain this.
OURS = ('heddle::', 'heddle_', 'jump_fcontext', 'make_fcontext', '__morestack', 'boost::context')
STANDARD = ('std::', '__gnu_cxx::')
NO_USERS_FILE = ('include/heddle/', '/include/c++/')
# The functions that every suspended fiber is in.
HOW_IT_WAITS = ('heddle_', 'jump_fcontext', 'heddle::detail::scheduler::', 'heddle::detail::waiter::',
                'heddle::detail::bounded_waiter::')


def without_result(name):
    """The name of a function without the type of its result, which names of templates begin with where there is no debug
    information."""
    depth = start = 0
    for i, c in enumerate(name):
        if c == '(' and depth == 0:
            break
        depth += (c == '<') - (c == '>')
        if c == ' ' and depth == 0 and not name[:i].endswith('operator'):
            start = i + 1
    return name[start:]


def waiting_place(frame):
    """The innermost frame that is the user's, from this one on; if there is none (the user's last call took the place of
    its caller), the function of heddle that was called."""
    called = ''
    for _ in range(64):
        if frame is None:
            break
        name = frame.name() and without_result(frame.name())
        line = frame.find_sal()
        file = line.symtab.filename if line.symtab else ''
        if name and not name.startswith(OURS + STANDARD) and not any(part in file for part in NO_USERS_FILE):
            return name + (' at %s:%d' % (file, line.line) if file else '')
        if name and not called and name.startswith('heddle::') and not name.startswith(HOW_IT_WAITS):
            called = name
        frame = frame.older()
    return called


class InfoFibers(gdb.Command):
    """List heddle's fibers: number, state, name, and where a waiting one waits (for the first 200 of them), with the
    descriptor, if it waits for one."""

    def __init__(self):
        super().__init__('info fibers', gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        print('%-8s %-16s %-20s %s' % ('Fiber', 'State', 'Name', 'Where'))
        sockets = Sockets()
        for count, fiber in enumerate(fibers()):
            where = ''
            if fiber.has_context() and count < 200:
                with at_fiber(fiber) as frame:
                    where = waiting_place(frame)
            where = ', '.join(part for part in (where, fiber.descriptor_wait(sockets)) if part)
            print(('%-8d %-16s %-20s %s' % (fiber.number, fiber.state, fiber.name or '', where)).rstrip())


def without_thread(text, first):
    """The output of a command, without frames below that number, which are of the thread that lends its place."""
    kept, keep = [], True
    for line in text.splitlines(True):
        number = re.match(r'#(\d+) ', line)
        if number:
            keep = int(number.group(1)) >= first
        if keep:
            kept.append(line)
    return ''.join(kept)


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
        if not fiber.has_context():
            raise gdb.GdbError('fiber: fiber %s has no suspended stack: %s' % (number, fiber.state))
        with at_fiber(fiber) as frame:
            if frame is None:
                raise gdb.GdbError('fiber: the stack of fiber %s cannot be read' % number)
            text = gdb.execute(command.strip() or 'bt', False, True)
            print(without_thread(text, frame.level()), end='')


InfoFibers()
FiberCommand()
