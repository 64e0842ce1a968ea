# SPDX-License-Identifier: BSL-1.0
"""Measures programs under each allocator, round by round."""
import hashlib
import shutil

import alloc_catalog
import alloc_instructions
import catalog
import child
import results
from alloc_applications import BY_NAME
from allocators import BASELINE, Witness, forced
from progress import Progress
from turn import Turn


class Session:
    """One call of `perf/run alloc`. `chosen` are (problem, allocators)."""

    def __init__(self, chosen, every, options):
        self.options = options
        self.every = every  # all allocators: none of them may be where it was not asked for
        problems = [problem for problem, _ in chosen]
        self.results = results.Results(problems, BASELINE)
        self.turn = Turn(options.lock)
        self.inputs = options.build / "alloc-inputs"
        self.outcomes = {}  # application -> what it gave under the first allocator
        self.plan = [(p, self.present(p, allocators), catalog.procs_of(p, options.procs, options.full))
                     for p, allocators in chosen]
        steps = sum(alloc_catalog.rounds_of(p, options.scale) * len(a) * len(procs) for p, a, procs in self.plan)
        self.progress = Progress(max(1, steps))

    def present(self, problem, allocators):
        """The allocators that are there, if the program is; the others are skipped aloud."""
        there = []
        application = BY_NAME.get(problem.name)
        tools = application.missing() if application else []
        for allocator in allocators:
            if tools:
                self.skip(problem.name, f"not installed: {', '.join(tools)}")
            elif allocator.missing():
                self.skip(allocator.name, f"there is no {allocator.library}")
            else:
                there.append(allocator)
        return there

    def skip(self, name, why):
        if name not in self.results.skipped:
            self.results.skipped[name] = why
            self.say_skipped(name, why)

    @staticmethod
    def say_skipped(name, why):
        print(f"skipped: {name}: {why}", flush=True)

    def measure(self):
        for problem, allocators, procs in self.plan:
            if allocators and problem.name in BY_NAME:
                self.prepare(BY_NAME[problem.name])
            for round_number in range(alloc_catalog.rounds_of(problem, self.options.scale)):
                for count in procs:
                    for allocator in allocators:
                        self.measure_once(problem, allocator, count, round_number)
        self.turn.end()
        self.progress.finish()
        return self.results

    def prepare(self, application):
        """Makes an application's input, unless a run before has made it."""
        folder = self.inputs / application.name
        if (folder / "complete").exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.progress.say(f"{application.problem.name}: its input is made (once, not measured)")
        application.prepare(folder)
        (folder / "complete").touch()

    def measure_once(self, problem, allocator, procs, round_number):
        label = f"{problem.name}/{allocator.name} on {procs}"
        self.progress.step(problem.name, f"{allocator.name} on {procs} processors, round {round_number + 1}")
        if label in self.results.failed:
            return  # once is enough
        try:
            self.alone(problem)
            metrics, notes = self.run(problem, allocator, procs)
            self.results.add(problem.name, procs, allocator.name, metrics, notes)
        except child.Failed as error:
            self.results.failed[label] = str(error)
            self.progress.say(f"FAILED: {label}: {error}")

    def alone(self, problem):
        """Has the machine to itself, if there is a --lock. How much memory is resident, and how many instructions it
        takes, does not change with what runs beside."""
        if problem is alloc_catalog.INSTRUCTIONS or problem.name == "alloc/fragmentation":
            self.turn.end()
        else:
            self.turn.take()

    def run(self, problem, allocator, procs):
        """(metrics, notes) of one run."""
        if problem is alloc_catalog.INSTRUCTIONS:
            return alloc_instructions.count(allocator, self.options.build), {}
        application = BY_NAME.get(problem.name)
        if application:
            return self.run_application(application, allocator, procs), {}
        command = alloc_catalog.command(problem, self.options.build, procs, self.options.scale)
        run = self.start(allocator, command, procs)
        metrics, notes = child.metrics(run.stdout)
        return ({**metrics, **outside(run)} if "cpu_s" in problem.metrics else metrics), notes

    def run_application(self, application, allocator, procs):
        folder = self.inputs / application.name
        if application.linked:
            allocator = forced(allocator)
        witness = Witness(allocator, application.program, [a for a in self.every if a.name != application.linked])
        run = self.start(allocator, application.command(folder), procs, witness.watch)
        witness.testify()
        self.compare(application, folder, run.stdout)
        return {"wall_s": run.wall_s, **outside(run)}

    def start(self, allocator, command, procs, watch=None):
        timeout = 600 if self.options.full else 120
        return child.run(allocator.preloading() + command, procs, timeout, memory=True, watch=watch)

    def compare(self, application, folder, printed):
        """Raises Failed if an application gives something else than under the allocator before."""
        outcome = hashlib.sha256(printed)
        if application.output:
            outcome.update((folder / application.output).read_bytes())
        if self.outcomes.setdefault(application.name, outcome.digest()) != outcome.digest():
            raise child.Failed("its result is not what it was under the allocator that came first")


def outside(run):
    """What is seen from outside, of every program whose work is fixed."""
    return {"cpu_s": run.cpu_s, "memory_mib": run.memory_mib}
