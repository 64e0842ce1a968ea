# SPDX-License-Identifier: BSL-1.0
"""A server under load: starts it, asks it for its port, looks at its time and memory, ends it whatever happens."""
import contextlib
import ctypes
import glob
import json
import os
import pathlib
import resource
import select
import signal
import socket
import subprocess
import tempfile
import time

from allocators import descendants
from catalog import PERF, ROOT
from child import Failed, describe

PR_SET_PDEATHSIG = 1
SOON = 10  # seconds in which a server has to be there
libc = ctypes.CDLL(None)


def processors():
    """(the server's, the load's) processor; None: there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


def descriptors():
    """So many descriptors may one process have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def prepare(processor):
    """In the child: a session of its own on one processor, as many descriptors as it may have; it dies with us."""
    def prepared():
        os.setsid()
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, [processor])
        hard = descriptors()
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return prepared


def end(process):
    """With all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def line_of(process, seconds, errors):
    """The next line that a process prints, in time."""
    if not select.select([process.stdout], [], [], seconds)[0]:
        raise Failed(f"said nothing for {seconds} s")
    line = process.stdout.readline()
    if not line:
        errors.seek(0)
        raise Failed(describe(process.wait(), errors.read().decode(errors="replace").strip()))
    return line


class Server:
    """One of our programs, which prints its port."""

    def __init__(self, command, processor):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
                                        preexec_fn=prepare(processor))
        try:
            self.port = self.learn_port()
        except BaseException:
            self.__exit__()
            raise

    def learn_port(self):
        try:
            return json.loads(line_of(self.process, SOON, self.errors))["port"]
        except (ValueError, KeyError, TypeError):
            raise Failed("did not print its port") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        self.errors.close()

    @property
    def pid(self):
        """The process that does the work."""
        return self.process.pid

    def seconds(self):
        """User and system time; the clock of another process is made of its number (clock_getcpuclockid)."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def resident_mib(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 2**20


class Database(Server):
    """A server of the distribution, as the tests start it; `where` is what it tells its clients."""
    PROGRAMS = {"libpq": "/usr/lib/postgresql/*/bin/initdb", "hiredis": "/usr/bin/redis-server"}

    def __init__(self, kind, connections, processor):
        with_server = ROOT / "test" / "net" / "servers" / "with"
        # It ends with the program that it starts, which tells where it is, and waits.
        told = 'echo "$HEDDLE_TEST_SERVER"; exec sleep infinity'
        super().__init__(["/usr/bin/env", f"HEDDLE_TEST_CONNECTIONS={connections + 20}", str(with_server), kind, "sh",
                          "-c", told], processor)

    @classmethod
    def is_installed(cls, library):
        return bool(glob.glob(cls.PROGRAMS[library]))

    def learn_port(self):
        self.where = line_of(self.process, 40, self.errors).decode().strip()
        return None

    def __exit__(self, *_):
        self.process.terminate()  # in order: it has a folder to remove
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        super().__exit__()


class Nginx(Server):
    """Debian's nginx with a configuration and a folder of its own."""
    HELLO = {"nginx_return": r'return 200 "Hello, world!\n";', "nginx_file": ""}

    def __init__(self, contender, processor):
        self.folder = tempfile.TemporaryDirectory(prefix="perf-nginx-")
        path = pathlib.Path(self.folder.name)
        path.chmod(0o755)  # the worker is another user, if we are root
        (path / "hello").write_text("Hello, world!\n", encoding="ascii")
        self.port = free_port()
        text = (PERF / "http" / "nginx.conf.in").read_text(encoding="utf-8")
        for name, value in {"folder": str(path), "port": str(self.port), "hello": self.HELLO[contender]}.items():
            text = text.replace(f"@{name}@", value)
        (path / "conf").write_text(text, encoding="utf-8")
        super().__init__(["/usr/sbin/nginx", "-p", str(path), "-e", str(path / "error"), "-c", str(path / "conf")],
                         processor)

    def learn_port(self):
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.errors.seek(0)
                raise Failed(describe(self.process.returncode, self.errors.read().decode(errors="replace").strip()))
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                if len(list(descendants(self.process.pid))) > 1:
                    return self.port
            time.sleep(0.02)
        raise Failed(f"does not listen after {SOON} s")

    @property
    def pid(self):
        return next(pid for pid in descendants(self.process.pid) if pid != self.process.pid)

    def __exit__(self, *_):
        super().__exit__()
        self.folder.cleanup()
