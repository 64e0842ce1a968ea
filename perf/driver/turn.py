# SPDX-License-Identifier: BSL-1.0
"""A lock that several users of one machine share, so that none of them measures while another works."""
import fcntl
import time

LONGEST = 45  # seconds; the others wait meanwhile


class Turn:
    """Holds flock(2) on a file between measurements too, because each new turn may be long in coming; but not for ever.
    Without a file there is nothing to wait for."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="ascii") if path else None  # for as long as this lives
        self.since = None

    def take(self):
        if self.file is None or (self.since is not None and time.monotonic() - self.since < LONGEST):
            return
        self.end()
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.since = time.monotonic()

    def end(self):
        if self.since is not None:
            fcntl.flock(self.file, fcntl.LOCK_UN)
            self.since = None
