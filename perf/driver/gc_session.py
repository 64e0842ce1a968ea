# SPDX-License-Identifier: BSL-1.0
"""Measures the contenders of perf/gc, round by round."""
import allocators
import catalog
import child
import gc_catalog
import results
from gc_heap import Course
from progress import Progress
from turn import Turn

BARE = allocators.Allocator("none", None)


class Session:
    """One call of `perf/run gc`."""

    def __init__(self, options):
        self.options = options
        self.results = results.Results([problem for problem, _ in options.chosen])
        self.results.courses = {}  # (problem, procs, contender) -> Course of the first round
        known = allocators.known(options.build, [])
        self.preloads = {"heddle_malloc": known[catalog.OURS], "jemalloc": known["jemalloc"], "glibc": known["glibc"],
                         **dict.fromkeys(gc_catalog.COUNTED, known["jemalloc"])}
        self.absent = self.absent_contenders()
        self.turn = Turn(options.lock)
        self.plan = [(p, self.built(p, contenders), catalog.procs_of(p, options.procs, options.scale == "full"))
                     for p, contenders in options.chosen]
        self.progress = Progress(max(1, sum(self.rounds_of(p) * len(c) * len(procs) for p, c, procs in self.plan)))

    def rounds_of(self, problem):
        return min(self.options.rounds, problem.work[self.options.scale].rounds)

    def there_is(self, problem, contender):
        return gc_catalog.program(problem, contender, self.options.build).exists()

    def absent_contenders(self):
        """Those of which no program at all was built."""
        chosen = [(p, c) for p, contenders in self.options.chosen for c in contenders]
        return {c for _, c in chosen} - {c for p, c in chosen if self.there_is(p, c)}

    def built(self, problem, contenders):
        """The contenders that are there; the others are skipped aloud, each once."""
        there = []
        for contender in contenders:
            if self.preloads.get(contender, BARE).missing():
                self.skip(contender, f"there is no {self.preloads[contender].library}")
            elif contender in self.absent:
                self.skip(contender, "it was not built, see what CMake said about perf")
            elif not self.there_is(problem, contender):
                self.skip(f"{problem.name}/{contender}", "it was not built, see what CMake said about perf")
            else:
                there.append(contender)
        return there

    def skip(self, name, why):
        if name not in self.results.skipped:
            self.results.skipped[name] = why
            print(f"skipped: {name}: {why}", flush=True)

    def measure(self):
        for problem, contenders, procs in self.plan:
            for round_number in range(self.rounds_of(problem)):
                for count in procs:
                    for contender in contenders:
                        self.measure_once(problem, contender, count, round_number)
        self.turn.end()
        self.progress.finish()
        return self.results

    def measure_once(self, problem, contender, procs, round_number):
        label = f"{problem.name}/{contender} on {procs}"
        self.progress.step(problem.name, f"{contender} on {procs} processors, round {round_number + 1}")
        if label in self.results.failed:
            return  # once is enough
        self.turn.take()
        course = Course()
        try:
            run = self.start(problem, contender, procs, course)
            metrics, notes = child.metrics(run.stdout)
        except child.Failed as error:
            self.results.failed[label] = str(error)
            self.progress.say(f"FAILED: {label}: {error}")
            return
        self.results.add(problem.name, procs, contender,
                         {**metrics, "cpu_s": run.cpu_s, "memory_mib": run.memory_mib}, notes)
        self.results.courses.setdefault((problem.name, procs, contender), course)

    def start(self, problem, contender, procs, course):
        command = gc_catalog.command(problem, contender, self.options.build, procs, self.options.scale)
        preload = self.preloads.get(contender, BARE).preloading()
        timeout = 300 if self.options.scale == "full" else 60
        return child.run(preload + command, procs, timeout, memory=True, watch=course.watch)
