# SPDX-License-Identifier: BSL-1.0
"""Measures servers under load, and C libraries as clients, round by round: the server on one processor, its clients on
another."""
import json
import os
import resource
import shutil
import subprocess

import child
import net_calls
import net_catalog
import net_server
import results
from progress import Progress
from turn import Turn

NOT_BUILT = "it was not built, see what CMake said about perf"


def children_seconds():
    """User and system time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Session:
    """One call of `perf/run echo`, `perf/run http` or `perf/run libraries`."""

    def __init__(self, options):
        self.options = options
        self.results = results.Results([problem for problem, _ in options.chosen])
        self.results.calls = {}  # (problem, contender) -> {system call: how often a request}
        self.turn = Turn(options.lock)
        self.processors = net_server.processors()
        self.strace = shutil.which("strace") is not None
        self.plan = [(p, self.there(p, contenders)) for p, contenders in options.chosen]
        self.progress = Progress(max(1, options.rounds * sum(len(c) for _, c in self.plan)))

    def there(self, problem, contenders):
        """The contenders that can run; the others are skipped aloud."""
        needed = problem.connections + net_catalog.SPARE
        if self.processors is None:
            return self.skip(problem.name, "server and load need a processor each")
        if net_server.descriptors() < needed:
            return self.skip(problem.name, f"a process may have {net_server.descriptors():,} descriptors, not "
                             f"{needed:,}")
        if problem.kind == "hello" and shutil.which("wrk") is None:
            return self.skip(problem.name, "wrk is not installed")
        if problem.kind == "queries" and not net_server.Database.is_installed(problem.library):
            return self.skip(problem.name, f"{net_catalog.LIBRARIES[problem.library]} is not installed")
        if problem.kind != "queries" and not self.built(problem, "load"):
            return self.skip(problem.name, NOT_BUILT)
        missing = [c for c in contenders if not self.built(problem, c)]
        for contender in missing:
            self.skip(f"{problem.folder}/{contender}", "nginx is not installed" if contender in net_catalog.NGINX
                      else NOT_BUILT)
        return [c for c in contenders if c not in missing]

    def built(self, problem, contender):
        if contender in net_catalog.NGINX:
            return os.path.exists("/usr/sbin/nginx")
        return net_catalog.program(problem, contender, self.options.build).exists()

    def skip(self, name, why):
        if name not in self.results.skipped:
            self.results.skipped[name] = why
            print(f"skipped: {name}: {why}", flush=True)
        return []

    def measure(self):
        for problem, contenders in self.plan:
            for round_number in range(self.options.rounds):
                for contender in contenders:
                    self.measure_once(problem, contender, round_number)
        self.turn.end()
        self.progress.finish()
        return self.results

    def measure_once(self, problem, contender, round_number):
        label = f"{problem.name}/{contender}"
        self.progress.step(problem.name, f"{contender}, round {round_number + 1}")
        if label in self.results.failed:
            return  # once is enough
        self.turn.take()
        try:
            with self.start(problem, contender) as server:
                metrics = getattr(self, problem.kind)(problem, contender, server)
            if round_number == 0 and "calls" in problem.metrics and self.strace:
                metrics["calls"] = self.count_calls(problem, contender)
            self.results.add(problem.name, 1, contender, metrics, {})
        except (child.Failed, OSError) as error:
            self.results.failed[label] = str(error)
            self.progress.say(f"FAILED: {label}: {error}")

    def start(self, problem, contender):
        if contender in net_catalog.NGINX:
            return net_server.Nginx(contender, self.processors[0])
        if problem.kind == "queries":
            return net_server.Database(net_catalog.LIBRARIES[problem.library], problem.connections, self.processors[0])
        return net_server.Server(net_catalog.server_command(problem, contender, self.options.build), self.processors[0])

    def run(self, command, seconds, **environment):
        """What clients print."""
        try:
            run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,
                                 env={**os.environ, **environment}, preexec_fn=net_server.prepare(self.processors[1]))
        except subprocess.TimeoutExpired:
            raise child.Failed(f"the load took more than {seconds} s") from None
        if run.returncode != 0:
            said = run.stderr.decode(errors="replace").strip()
            raise child.Failed("the load: " + child.describe(run.returncode, said))
        return run.stdout

    def echo(self, problem, _, server):
        milliseconds = net_catalog.MILLISECONDS[self.options.scale]
        command = net_catalog.load_command(problem, self.options.build, server.port, "--server", server.pid, "--ms",
                                           milliseconds)
        return child.metrics(self.run(command, 60 + milliseconds / 1e3))[0]

    def rest(self, problem, _, server):
        milliseconds = net_catalog.REST_MS[self.options.scale]
        command = net_catalog.load_command(problem, self.options.build, server.port, "--server", server.pid,
                                           "--rest_ms", milliseconds)
        return child.metrics(self.run(command, 60 + milliseconds / 1e3))[0]

    def hello(self, problem, _, server):
        seconds = max(1, net_catalog.MILLISECONDS[self.options.scale] * 2 // 1_000)
        self.run(net_catalog.wrk_command(problem, server.port, 1), 30)
        before, load_before = server.seconds(), children_seconds()
        said = self.run(net_catalog.wrk_command(problem, server.port, seconds), 30 + seconds)
        used, load_used = server.seconds() - before, children_seconds() - load_before
        figures = json.loads(said.splitlines()[-1])
        requests, failed = figures.pop("requests"), figures.pop("failed")
        if failed or not requests:
            raise child.Failed(f"wrk: {failed} of {requests} requests failed")
        return {**figures, "server_cpu_us": used / requests * 1e6, "rss_mib": server.resident_mib(),
                "load_busy_percent": load_used / seconds * 100}

    def queries(self, problem, contender, server):
        milliseconds = net_catalog.MILLISECONDS[self.options.scale] * 2
        command = net_catalog.queries_command(problem, contender, self.options.build, milliseconds)
        return child.metrics(self.run(command, 60 + milliseconds / 1e3, HEDDLE_TEST_SERVER=server.where))[0]

    def count_calls(self, problem, contender):
        """Of a server of its own: strace slows it down."""
        with self.start(problem, contender) as server:
            calls = net_calls.count(problem, server, self.options.build, self.processors[1])
        self.results.calls[problem.name, contender] = calls
        return sum(calls.values())
