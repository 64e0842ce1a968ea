# SPDX-License-Identifier: BSL-1.0
"""The resident memory of a program over time, seen from outside: the same for all languages."""
import os
import time

from allocators import descendants

STEP = 0.01  # seconds between two looks
PAGE = os.sysconf("SC_PAGESIZE")


def resident_mib(pid):
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE / 2**20
    except (OSError, IndexError):
        return 0.0  # it has ended


class Course:
    """child.run() calls watch() beside the program."""

    def __init__(self):
        self.points = []  # (seconds since the begin, MiB)

    def watch(self, pid):
        began = time.monotonic()
        while os.path.exists(f"/proc/{pid}/exe"):
            # The process itself is the driver's fork or time(1).
            resident = sum(resident_mib(process) for process in descendants(pid) if process != pid)
            if resident > 0:
                self.points.append((round(time.monotonic() - began, 3), round(resident, 2)))
            time.sleep(STEP)
