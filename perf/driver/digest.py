# SPDX-License-Identifier: BSL-1.0
"""What perf/digest must print: the lines of sha256sum, byte for byte."""
import os
import subprocess
import tempfile

from child import Failed


PLAIN = {**os.environ, "LC_ALL": "C"}


def start_sums(paths, out):
    """sha256sum of the paths, started."""
    names = tempfile.TemporaryFile()
    names.write(b"".join(path + b"\0" for path in paths))
    names.seek(0)
    return subprocess.Popen(["xargs", "-0", "-r", "sha256sum"], stdin=names, stdout=out, env=PLAIN)


def read_back(file):
    file.seek(0)
    return file.read()


class Reference:
    """The lines of `find | sort | sha256sum` for the roots; computed when first needed."""

    def __init__(self, roots):
        self.roots = roots
        self.lines = None

    def compute(self):
        """As one `find | sort -z | xargs -0 sha256sum` would print it; the sorted list is cut in two only so that it
        takes half the time."""
        paths = subprocess.run(["bash", "-o", "pipefail", "-c", 'find "$@" -type f -print0 | sort -z', "bash", *self.roots],
                               check=True, stdout=subprocess.PIPE, env=PLAIN).stdout.split(b"\0")[:-1]
        middle = len(paths) // 2
        with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
            halves = [start_sums(part, out) for part, out in ((paths[:middle], first), (paths[middle:], second))]
            if any([half.wait() for half in halves]):
                raise ValueError("sha256sum could not read all of " + " ".join(self.roots))
            return read_back(first) + read_back(second)

    def prepare(self):
        if self.lines is None:
            self.lines = self.compute()

    def check(self, printed):
        """Raises Failed unless `printed` is right. The tree may have changed since the reference was made, so a
        difference is believed only if it is still there when the reference is made anew."""
        if printed == self.lines:
            return
        before, self.lines = self.lines, self.compute()
        if before != self.lines:
            raise Failed("the tree changed under way; measure on one that nobody writes to")
        raise Failed("printed other lines than sha256sum: " + first_difference(printed, self.lines))


def first_difference(printed, expected):
    ours, theirs = printed.split(b"\n"), expected.split(b"\n")
    for number, (one, other) in enumerate(zip(ours, theirs), 1):
        if one != other:
            return f"line {number} is {one!r} and should be {other!r}"
    return f"{len(ours) - 1} lines instead of {len(theirs) - 1}"
