# SPDX-License-Identifier: BSL-1.0
"""Says how far the run is: a bar on a terminal, a line per problem elsewhere."""
import shutil
import sys
import time


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Progress:
    def __init__(self, total):
        self.total = total
        self.done = 0
        self.start = time.monotonic()
        self.live = sys.stderr.isatty()
        self.last = None

    def step(self, group, what):
        """About to do `what`, which belongs to `group`."""
        elapsed = clock(time.monotonic() - self.start)
        if self.live:
            width = 30
            filled = width * self.done // self.total
            text = f"[{'#' * filled}{'.' * (width - filled)}] {100 * self.done // self.total:3}% {elapsed}  {group} {what}"
            sys.stderr.write("\r\x1b[K" + text[:shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()
        elif group != self.last:
            print(f"{elapsed} {100 * self.done // self.total:3}% {group}", file=sys.stderr, flush=True)
        self.last = group
        self.done += 1

    def say(self, text):
        """A line that stays."""
        if self.live:
            sys.stderr.write("\r\x1b[K")
        print(text, file=sys.stderr, flush=True)

    def finish(self):
        if self.live:
            sys.stderr.write("\r\x1b[K")
        self.say(f"measured in {clock(time.monotonic() - self.start)}")
