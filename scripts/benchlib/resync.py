# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast a mirror brings a node up to date, and what its users lose meanwhile.

Each round begins with two nodes of different content, of which one is to become like the other.
While it is being copied to, fio runs on the mirror, once with the resync paused and once with it
going on; then it has the rest for itself. Beside that, other ways to move the same bytes, through
the same servers and client.
"""

import json
import os
import shutil
import statistics
import threading
import time

from benchlib import mirrors, systems as catalogue
from benchlib.host import MIB, BenchError, Rig, run as command
from benchlib.jobs import LIBAIO, fio
from benchlib.measure import TAIL
from benchlib.report import table, write_json

RAMP = 1.0        # seconds that fio runs before it counts; the resync goes on meanwhile
POLL = 0.05       # seconds between two looks at a resync
PATIENCE = 120.0  # seconds until it must be through

USERS = [(f"4 KiB random {what}, QD{depth}",
          LIBAIO + [f"--rw=rand{what}", "--bs=4k", f"--iodepth={depth}",
                    f"--ramp_time={RAMP:.0f}s"])
         for what in ("read", "write") for depth in (1, 32)]


class Mirror:
    """A running mirror of two dstd, of which the second, n1, is to become like the first, n0."""

    def __init__(self, run, images):
        self.rig = Rig(run.space, "resync")
        sources = [catalogue.start_dstd(self.rig, image) for image in images]
        mirrors.start_mirror(self.rig, images, sources, {}, ("--from", "n0"))
        self.mount = os.path.dirname(self.rig.image)

    def ctl(self, *arguments):
        """Asks dstctl; what it says."""
        return command([catalogue.program("dstctl"), *arguments, "--mount", self.mount])

    def left(self):
        """Bytes that are still to be done; 0: there is no resync."""
        daemons = json.loads(self.ctl("status", "--json"))
        nodes = [volume["nodes"][0] for daemon in daemons for volume in daemon.get("volumes", [])]
        jobs = [job for node in nodes for job in node.get("jobs", []) if job["job"] == "resync"]
        return sum(job["total"] - job["done"] for job in jobs)

    def pause(self):
        """Stops the resync where it is."""
        self.ctl("resync", "vol0", "--pause")

    def resume(self):
        """Lets it go on."""
        self.ctl("resync", "vol0", "--resume")

    def rest(self):
        """Bytes a second, from now until it is through."""
        begun, left = time.monotonic(), self.left()
        if not left:
            raise BenchError("the resync was through too early: try a larger --size")
        while self.left():
            if time.monotonic() - begun > PATIENCE:
                raise BenchError("the resync does not end")
            time.sleep(POLL)
        return left / (time.monotonic() - begun)


def go_on_beside(mirror, runtime, seen):
    """Lets the resync go on once fio is at work: an idle mirror is copied in no time. Notes
    (time, bytes left) twice, while fio counts."""
    time.sleep(RAMP / 2)
    mirror.resume()
    for pause in (RAMP / 2 + runtime * 0.1, runtime * 0.8):
        time.sleep(pause)
        seen.append((time.monotonic(), mirror.left()))


def beside_users(mirror, size, runtime):
    """fio with the resync paused and going on: a dict for each of USERS."""
    found = []
    mirror.pause()
    for name, arguments in USERS:
        alone = fio([mirror.rig.image], arguments, runtime, size)["iops"]
        seen = []
        watcher = threading.Thread(target=go_on_beside, args=(mirror, runtime, seen))
        watcher.start()
        beside = fio([mirror.rig.image], arguments, runtime, size)["iops"]
        watcher.join()
        mirror.pause()
        (begun, before), (ended, after) = seen
        found.append({"users": name, "alone": alone, "beside": beside,
                      "copied": (before - after) / (ended - begun) / MIB})
    return found


def copies(run, images):
    """MiB/s of other ways, on two plain volumes of the same servers and client."""
    rig = Rig(run.space, "copies")
    mirrors.start_dstfs_two(rig, images, {})
    count = f"count={run.size // MIB}"
    ways = {
        "dd, read from one node": [f"if={rig.images[0]}", "of=/dev/null", "iflag=direct"],
        "dd, write to one node": [f"if={images[0]}", f"of={rig.images[1]}", "oflag=direct"],
        "dd, from one node to the other": [f"if={rig.images[0]}", f"of={rig.images[1]}",
                                           "iflag=direct", "oflag=direct"],
    }
    found = {}
    for name, operands in ways.items():
        begun = time.monotonic()
        command(["dd", "status=none", "bs=1M", "conv=notrunc", count] + operands)
        found[name] = run.size / MIB / (time.monotonic() - begun)
    rig.stop()
    return found


def resync(run, images, users):
    """
    One resync of everything: its speed with nobody else at work, in MiB/s, what it costs in
    processor time, in us a MiB, and what beside_users() found.
    """
    mirror = Mirror(run, images)
    found = beside_users(mirror, run.size, run.runtime) if users else []
    mirror.pause()
    used, left = mirror.rig.cpu_seconds(), mirror.left()
    mirror.resume()
    speed = mirror.rest() / MIB
    cost = (mirror.rig.cpu_seconds() - used) / (left / MIB) * 1e6
    mirror.rig.stop()
    return speed, cost, found


def speed_table(speeds):
    """Lines: how fast what was."""
    rows = [[name, f"{statistics.median(taken):.0f}", f"{min(taken):.0f}", f"{max(taken):.0f}"]
            for name, taken in speeds.items()]
    return table(rows, ["", "MiB/s", "least", "most"])


def users_table(users):
    """Lines: what users got without the resync and beside it, and the resync beside them."""
    rows = []
    for taken in users:
        alone, beside, copied = (statistics.median(sample[key] for sample in taken)
                                 for key in ("alone", "beside", "copied"))
        kept = statistics.median(sample["beside"] / sample["alone"] for sample in taken)
        rows.append([taken[0]["users"], f"{alone:.0f}", f"{beside:.0f}", f"{kept:.2f}",
                     f"{copied:.0f}"])
    return table(rows, ["users", "IOPS, paused", "IOPS, resync", "ratio", "resync MiB/s"])


def study(run, rounds, json_path):
    """Measures it all and prints the tables. The exit status."""
    for name in ("dstd", "dstfs", "dstctl"):
        if not shutil.which(catalogue.program(name)):
            raise BenchError(f"{name} is needed and not found")
    images = [run.space.backing(f"{name}.img", run.size + TAIL) for name in ("a", "b")]
    speeds, costs, users = {}, [], [[] for _ in USERS]
    for number in range(rounds):
        run.say(f"round {number + 1} of {rounds}")
        run.space.backing("b.img", run.size + TAIL)
        taken = copies(run, images)
        run.space.backing("b.img", run.size + TAIL)
        taken["resync, nobody else at work"], cost, found = resync(run, images, True)
        costs.append(cost)
        taken["resync of what is equal"], _, _ = resync(run, images, False)
        for name, value in taken.items():
            speeds.setdefault(name, []).append(value)
        for row, sample in zip(users, found):
            row.append(sample)
    print()
    print("\n".join(speed_table(speeds)))
    print(f"\nA resync takes {statistics.median(costs):.0f} us of processor time for each MiB.\n")
    print("\n".join(users_table(users)))
    if json_path:
        write_json(json_path, {"speeds": speeds, "costs": costs, "users": users})
    return 0
