# SPDX-License-Identifier: BSL-1.0
"""Runs one contender once."""
import dataclasses
import json
import os
import signal
import tempfile
import threading
import time


class Failed(Exception):
    """A contender that ended badly, printed nonsense or took too long."""


@dataclasses.dataclass
class Run:
    stdout: bytes
    wall_s: float
    cpu_s: float  # of all its processes
    memory_mib: float | None  # of its largest process; None unless asked for


def prepare(procs):
    """In the child: a session of its own, ahead of everything else on the machine where that is allowed, and on the
    last processors, which see fewer interrupts than the first."""
    os.setsid()
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write("-15")
    except OSError:
        pass  # no autogroups here, or not root
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-procs:])


def start(command, procs, stdout, stderr):
    """Like subprocess.Popen, which would take the rusage that wait4 is to give us."""
    pid = os.fork()
    if pid:
        return pid
    try:
        prepare(procs)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout.fileno(), 1)
        os.dup2(stderr.fileno(), 2)
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}".encode())
    finally:
        os._exit(127)


def measuring_memory(command, report):
    """The command under time(1): our own wait would count what this driver occupied before the exec, too."""
    return ["/usr/bin/time", "--quiet", "--format", "%M", "--output", report, *command]


def run(command, procs, timeout, memory=False, watch=None):
    """The Run of a command that exits with 0 in time; raises Failed otherwise. watch(pid) runs beside it, in a thread,
    and has to return once that process is gone."""
    if memory:
        with tempfile.NamedTemporaryFile("r") as report:
            result = run(measuring_memory(command, report.name), procs, timeout, watch=watch)
            result.memory_mib = int(report.read()) / 1024
            return result
    late = threading.Event()

    def kill():
        late.set()
        os.killpg(pid, signal.SIGKILL)  # prepare() made it the leader of its group

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        pid = start(command, procs, out, err)
        alarm = threading.Timer(timeout, kill)
        alarm.start()
        watcher = threading.Thread(target=watch or (lambda pid: None), args=(pid,))
        watcher.start()
        try:
            _, status, usage = os.wait4(pid, 0)
        except BaseException:
            os.killpg(pid, signal.SIGKILL)  # an interrupted driver leaves nobody behind
            raise
        finally:
            alarm.cancel()
            watcher.join()
        wall = time.monotonic() - began
        if late.is_set():
            raise Failed(f"took more than {timeout} s")
        if status != 0:
            err.seek(0)
            raise Failed(describe(os.waitstatus_to_exitcode(status), err.read().decode(errors="replace").strip()))
        out.seek(0)
        return Run(out.read(), wall, usage.ru_utime + usage.ru_stime, None)


def describe(code, message):
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    return f"{how}: {message[-400:]}" if message else how


def metrics(stdout):
    """(metrics, notes) of the line of JSON that a contender printed."""
    try:
        values = json.loads(stdout)
        notes = values.pop("notes", {})
        return {name: float(value) for name, value in values.items()}, notes
    except (ValueError, TypeError, AttributeError):
        raise Failed(f"printed no metrics but {stdout[:200]!r}") from None
