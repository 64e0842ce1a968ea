# SPDX-License-Identifier: BSL-1.0
"""The system calls of a server, counted by strace while its clients send a known number of requests."""
import pathlib
import select
import signal
import subprocess
import tempfile
import time

import net_catalog
from child import Failed
from net_server import SOON, end, line_of, prepare

REQUESTS = 20_000  # in all, or three on each connection


def parse(text):
    """{system call: how often} of what `strace -c` wrote."""
    calls = {}
    for fields in (line.split() for line in text.splitlines()):
        if len(fields) in (5, 6) and fields[0].replace(".", "").isdigit() and fields[-1] != "total":
            calls[fields[-1]] = calls.get(fields[-1], 0) + int(fields[3])
    return calls


class Tracer:
    """strace beside a running server, from the begin to the end of a `with`; then `calls` is there."""

    def __init__(self, pid):
        self.report = tempfile.NamedTemporaryFile("r")
        self.process = subprocess.Popen(["/usr/bin/strace", "-c", "-f", "-o", self.report.name, "-p", str(pid)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        if not select.select([self.process.stderr], [], [], SOON)[0]:
            self.process.kill()
            raise Failed("strace did not attach")
        said = self.process.stderr.readline().decode()
        if " attached" not in said:
            self.process.kill()
            raise Failed(f"strace may not look: {said.strip()}")
        time.sleep(0.1)  # at its other threads, too
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=SOON)
        self.calls = parse(pathlib.Path(self.report.name).read_text(encoding="ascii"))
        self.report.close()


def count(problem, server, build, processor):
    """{system call: how often a request}: nothing else happens meanwhile, neither accepting nor closing."""
    each = max(3, REQUESTS // problem.connections)
    command = net_catalog.load_command(problem, build, server.port, "--count", each)
    with tempfile.TemporaryFile() as errors:
        clients = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                   preexec_fn=prepare(processor))
        try:
            line_of(clients, 60, errors)
            with Tracer(server.pid) as tracer:
                clients.stdin.write(b"go\n")
                clients.stdin.flush()
                line_of(clients, 60, errors)
        finally:
            end(clients)
    requests = each * problem.connections
    return {name: calls / requests for name, calls in tracer.calls.items()}
