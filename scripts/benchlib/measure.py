# SPDX-License-Identifier: GPL-2.0-or-later
"""Measuring: rounds interleaved over the systems, medians, and the search for a peer's best."""

import os
import shutil
import statistics

from benchlib import systems as catalogue
from benchlib.host import MIB, BenchError
from benchlib.jobs import RAMP, FioStuck, fio

TAIL = MIB  # of a backing file, beyond what jobs touch: mirrors keep there what they must know
TUNE_FINALISTS = 3
TUNE_ROUNDS = 3


class Run:
    """What all measurements of a run share."""

    def __init__(self, space, size, runtime, say):
        self.space = space
        self.size = size
        self.runtime = runtime
        self.say = say          # prints one line of progress
        self.failed = {}        # system name -> why it is out, or failed at least once
        self.image = None       # the backing file that all systems share
        self.own_images = {}    # those of systems that need their own

    def images_for(self, system):
        """The backing files of a system; created when they are first needed."""
        if not system.own_files:
            self.image = self.image or self.space.backing("disk.img", self.size + TAIL)
            return [self.image]
        if system.name not in self.own_images:
            first = self.space.backing(f"{system.name}-0.img", self.size + TAIL)
            self.own_images[system.name] = [first] + [
                shutil.copyfile(first, os.path.join(self.space.memory, f"{system.name}-{n}.img"))
                for n in range(1, system.own_files)]
        return self.own_images[system.name]

    def start(self, system, settings):
        """Starts a system; None, with the reason noted, if it doesn't work."""
        try:
            return catalogue.start(self.space, system, self.images_for(system), settings)
        except BenchError as error:
            self.fail(system, str(error))
            return None

    def fail(self, system, why):
        """Notes that a system failed; it says so at once and in the end."""
        self.failed[system.name] = why
        self.say(f"{system.name}: {why}")

    def once(self, system, rig, job, number):
        """One measurement, or None: then the system failed and has been stopped."""
        keep_as = os.path.join(rig.folder, f"{job.name}-{number}.json")
        used = rig.cpu_seconds()
        try:
            sample = fio(rig.images, job.arguments, self.runtime, self.size, keep_as)
            requests = sample["iops"] * self.runtime * (1 + RAMP)
            sample["cpu_us"] = (rig.cpu_seconds() - used) / requests * 1e6
            return sample
        except BenchError as error:
            self.fail(system, f"{job.name}: {error}")
            rig.stop(force=isinstance(error, FioStuck))
            return None


def medians(samples):
    """Medians of each number, and the spread of the rounds: half of max - min over the median."""
    result = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
    iops = [sample["iops"] for sample in samples]
    result["spread"] = (max(iops) - min(iops)) / 2 / result["iops"]
    return result


def measure(run, job, contenders, rounds):
    """
    Runs a job on all contenders, (system, settings) pairs, round-robin; who goes first moves on
    by one each round. Returns a list as long: medians, or None for one that failed.
    """
    rigs = [None if system.writes_only and not job.writes else run.start(system, settings)
            for system, settings in contenders]
    samples = [[] for _ in contenders]
    count = len(contenders)
    for number in range(rounds):
        for turn in range(count):
            index = (turn + number) % count
            if rigs[index] is None:
                continue
            sample = run.once(contenders[index][0], rigs[index], job, number)
            if sample is None:
                rigs[index] = None
                continue
            samples[index].append(sample)
    for rig in rigs:
        if rig:
            rig.stop()
    return [medians(taken) if rig else None for rig, taken in zip(rigs, samples)]


def better(job, one, other):
    """Is the first result the better one?"""
    if job.less_is_better:
        return one[job.metric] < other[job.metric]
    return one[job.metric] > other[job.metric]


def ranked(job, results):
    """Indices of the results that exist, best first."""
    there = [index for index, result in enumerate(results) if result]
    return sorted(there, key=lambda index: results[index][job.metric],
                  reverse=not job.less_is_better)


def tune(run, system, jobs):
    """
    Finds a peer's best settings for each job: every candidate once, then the best few again,
    interleaved. Candidates that don't start on this machine are left out. Returns job -> settings.
    """
    usable = []
    for settings in system.candidates:
        rig = run.start(system, settings)
        if rig:
            rig.stop()
            usable.append(settings)
    run.failed.pop(system.name, None)
    best = {}
    for job in jobs:
        first = [measure(run, job, [(system, settings)], 1)[0] for settings in usable]
        finalists = [usable[index] for index in ranked(job, first)[:TUNE_FINALISTS]]
        again = measure(run, job, [(system, settings) for settings in finalists], TUNE_ROUNDS)
        order = ranked(job, again)
        if not order:
            continue
        best[job.name] = finalists[order[0]]
        last = ranked(job, first)[-1]
        run.say(f"tune: {system.name} {job.name}: {catalogue.label(best[job.name])}: "
                f"{again[order[0]][job.metric]:.1f} {job.metric}; worst candidate "
                f"{first[last][job.metric]:.1f} ({catalogue.label(usable[last])})")
    return best
