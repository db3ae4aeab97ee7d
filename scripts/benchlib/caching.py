# SPDX-License-Identifier: GPL-2.0-or-later
"""The study behind the default of cache=: what users do with an image, in both modes, interleaved.

Both modes run at the same time, each on an export of its own of the same dstd. Every number is a
rate, so more is better. Rows with "loop" need root.
"""

import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Callable

from benchlib import systems as catalogue
from benchlib.host import MIB, BenchError, Rig, free_port, run as command
from benchlib.jobs import LIBAIO, PSYNC, FioStuck, fio
from benchlib.report import table, write_json

MODES = ("none", "auto")
FIO_RUNTIME = 1.0
SMALL_COPY = 64 * MIB     # for what works in 4 KiB pieces
QEMU_REQUESTS = 50000
TREE_FILES = 2000         # of the tree that is copied into a file system on a loop device
TREE_FILE_SIZE = 32 << 10


@dataclass
class Stage:
    """A mode's running file system."""
    mode: str
    image: str
    size: int
    scratch: str      # a file in memory of the image's size
    tree: str         # a folder of small files
    space: object
    folder: str       # of its own, for mount points


@dataclass
class Task:
    """Something that users do. `act` gets the stage and returns how much it did, in `unit`s."""
    name: str
    unit: str
    act: Callable
    cold: bool = True       # drop the image's cached pages before
    root: bool = False
    timed: bool = True      # False: act returns the rate itself


def drop_cache(path):
    """Writes back and forgets the cached pages of a file or device."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def dd(*operands, amount):
    """A dd that moves `amount` of bytes."""
    command(["dd", "status=none", *operands])
    return amount / MIB


def dd_read(block, limit=None, flags=()):
    """dd from the image to /dev/null."""
    def act(stage):
        amount = min(limit or stage.size, stage.size)
        return dd(f"if={stage.image}", "of=/dev/null", f"bs={block}", f"count={amount // block}",
                  *flags, amount=amount)
    return act


def dd_write(block, limit=None, flags=("conv=notrunc,fsync",)):
    """dd from memory to the image, on disk in the end."""
    def act(stage):
        amount = min(limit or stage.size, stage.size)
        return dd(f"if={stage.scratch}", f"of={stage.image}", f"bs={block}",
                  f"count={amount // block}", *flags, amount=amount)
    return act


def cp_out(stage):
    """cp of the image to memory."""
    command(["cp", stage.image, stage.scratch])
    return stage.size / MIB


def cp_in(stage):
    """cp from memory over the image, then sync of it."""
    command(["cp", stage.scratch, stage.image])
    command(["sync", stage.image])
    return stage.size / MIB


def qemu_bench(cache, write=False):
    """qemu-img bench: 4 KiB requests, 32 at a time, one after another in the image."""
    def act(stage):
        argv = ["qemu-img", "bench", "-t", cache, "-f", "raw", "-c", str(QEMU_REQUESTS), "-d",
                "32", "-s", "4096"]
        argv += ["-i", "native"] if cache == "none" else []
        command(argv + (["-w"] if write else []) + [stage.image])
        return QEMU_REQUESTS
    return act


def qemu_convert(stage):
    """qemu-img convert of the image to a raw file in memory."""
    command(["qemu-img", "convert", "-f", "raw", "-O", "raw", stage.image, stage.scratch])
    return stage.size / MIB


def fio_rate(arguments, key):
    """A fio job on the image."""
    def act(stage):
        return fio([stage.image], arguments, FIO_RUNTIME, stage.size)[key]
    return act


class Loop:
    """A loop device on the image, for a with statement; sure to be detached in the end."""

    def __init__(self, stage, direct):
        self.stage = stage
        self.direct = "on" if direct else "off"
        self.device = None
        self.undo = None

    def __enter__(self):
        self.undo = self.stage.space.on_release(self.detach)
        self.device = command(["losetup", "-f", "--show", f"--direct-io={self.direct}",
                               self.stage.image]).strip()
        return self.device

    def __exit__(self, *_):
        self.detach()
        self.stage.space.forget_release(self.undo)

    def detach(self):
        """Detaches the device, if it got so far. Attached twice is not possible."""
        if self.device:
            device, self.device = self.device, None
            command(["losetup", "-d", device])


def loop_fio(direct, arguments, key):
    """A fio job on a loop device on the image."""
    def act(stage):
        with Loop(stage, direct) as device:
            return fio([device], arguments, FIO_RUNTIME, stage.size)[key]
    return act


def loop_read(direct):
    """dd, buffered, from a loop device."""
    def act(stage):
        with Loop(stage, direct) as device:
            drop_cache(device)
            begun = time.monotonic()
            done = dd(f"if={device}", "of=/dev/null", "bs=1M", amount=stage.size)
            return done / (time.monotonic() - begun)
    return act


def loop_tree(direct):
    """A tree of small files into ext4 on a loop device, to disk, and read back after a remount."""
    def act(stage):
        mount = tempfile.mkdtemp(dir=stage.folder)
        with Loop(stage, direct) as device:
            command(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0",
                     device])
            begun = time.monotonic()
            for work in (["cp", "-r", stage.tree, mount], ["tar", "cf", "-", "-C", mount, "."]):
                command(["mount", device, mount])
                undo = stage.space.on_release(lambda: command(["umount", mount]))
                try:
                    command(["sh", "-c", '"$@" | cat >/dev/null', "sh"] + work)
                finally:
                    command(["umount", mount])
                    stage.space.forget_release(undo)
            return 2 * TREE_FILES / (time.monotonic() - begun)
    return act


RANDREAD_32 = LIBAIO + ["--rw=randread", "--bs=4k", "--iodepth=32"]
RANDWRITE_32 = LIBAIO + ["--rw=randwrite", "--bs=4k", "--iodepth=32"]
WRITERS_4 = PSYNC + ["--rw=randwrite", "--bs=4k", "--numjobs=4"]
READ_1M = LIBAIO + ["--rw=read", "--bs=1m", "--iodepth=8"]
MMAP_READ = ["--ioengine=mmap", "--rw=randread", "--bs=4k"]
BUFFERED_READ = ["--ioengine=psync", "--rw=randread", "--bs=4k"]
BUFFERED_WRITE = ["--ioengine=psync", "--rw=randwrite", "--bs=4k"]

TASKS = [
    Task("dd read 1M, cold", "MiB/s", dd_read(MIB)),
    Task("dd read 1M, again", "MiB/s", dd_read(MIB), cold=False),
    Task("dd read 4k, cold", "MiB/s", dd_read(4096, SMALL_COPY)),
    Task("dd read 1M iflag=direct", "MiB/s", dd_read(MIB, flags=("iflag=direct",))),
    Task("dd write 1M, fsync", "MiB/s", dd_write(MIB)),
    Task("dd write 4k, fsync", "MiB/s", dd_write(4096, SMALL_COPY)),
    Task("dd write 1M oflag=direct", "MiB/s",
         dd_write(MIB, flags=("conv=notrunc", "oflag=direct"))),
    Task("cp image out", "MiB/s", cp_out),
    Task("cp image in, sync", "MiB/s", cp_in),
    Task("random 4k, buffered read", "IOPS", fio_rate(BUFFERED_READ, "iops"), timed=False),
    Task("random 4k, buffered write", "IOPS", fio_rate(BUFFERED_WRITE, "iops"), timed=False),
    Task("random 4k, mmap read", "IOPS", fio_rate(MMAP_READ, "iops"), timed=False),
    Task("random 4k, O_DIRECT read QD32", "IOPS", fio_rate(RANDREAD_32, "iops"), timed=False),
    Task("random 4k, O_DIRECT write QD32", "IOPS", fio_rate(RANDWRITE_32, "iops"), timed=False),
    Task("random 4k, O_DIRECT 4 writers", "IOPS", fio_rate(WRITERS_4, "iops"), timed=False),
    Task("qemu-img bench -t none, read", "IOPS", qemu_bench("none")),
    Task("qemu-img bench -t none, write", "IOPS", qemu_bench("none", write=True)),
    Task("qemu-img bench -t writeback, read", "IOPS", qemu_bench("writeback")),
    Task("qemu-img bench -t writeback, write", "IOPS", qemu_bench("writeback", write=True)),
    Task("qemu-img convert", "MiB/s", qemu_convert),
]
for _direct, _name in ((True, "loop direct-io"), (False, "loop buffered")):
    TASKS += [
        Task(f"{_name}: dd read 1M", "MiB/s", loop_read(_direct), root=True, timed=False),
        Task(f"{_name}: 1M read QD8", "MiB/s", loop_fio(_direct, READ_1M, "mib_s"), root=True,
             timed=False),
        Task(f"{_name}: 4k read QD32", "IOPS", loop_fio(_direct, RANDREAD_32, "iops"), root=True,
             timed=False),
        Task(f"{_name}: 4k write QD32", "IOPS", loop_fio(_direct, RANDWRITE_32, "iops"), root=True,
             timed=False),
        Task(f"{_name}: ext4, small files", "files/s", loop_tree(_direct), root=True,
             timed=False),
    ]


def make_tree(folder):
    """A tree of small files of random data."""
    for number in range(TREE_FILES):
        below = os.path.join(folder, f"{number % 50:02d}")
        os.makedirs(below, exist_ok=True)
        with open(os.path.join(below, f"{number}"), "wb") as output:
            output.write(os.urandom(TREE_FILE_SIZE))


def start_stages(run):
    """One dstd, and a dstfs for each mode, ready to work on."""
    rig = Rig(run.space, "caching")
    port = free_port()
    server = [catalogue.program("dstd"), "-f", "--listen", f"{catalogue.HOST}:{port}"]
    for mode in MODES:
        server += ["--export", f"{mode}={run.space.backing(f'{mode}.img', run.size)}"]
    rig.daemon(server, "--pidfile")
    scratch = run.space.backing("scratch", run.size)
    tree = os.path.join(run.space.memory, "tree")
    make_tree(tree)
    stages = []
    for mode in MODES:
        mount = rig.mount_point(mode)
        rig.daemon([catalogue.program("dstfs"), f"dst://{catalogue.HOST}:{port}/{mode}", mount,
                    "-f", "-o", f"cache={mode}"], "--pidfile")
        rig.serve(os.path.join(mount, mode), run.size)
        stages.append(Stage(mode, rig.image, run.size, scratch, tree, run.space, rig.folder))
    return rig, stages


def perform(task, stage):
    """Does a task once; the rate."""
    if task.cold:
        drop_cache(stage.image)
    begun = time.monotonic()
    amount = task.act(stage)
    return amount / (time.monotonic() - begun) if task.timed else amount


def measure(task, stages, rounds):
    """A task in all modes, round-robin. Medians by mode."""
    rates = {stage.mode: [] for stage in stages}
    for number in range(rounds):
        for turn in range(len(stages)):
            stage = stages[(turn + number) % len(stages)]
            try:
                rates[stage.mode].append(perform(task, stage))
            except FioStuck:
                raise
            except (BenchError, OSError) as error:
                raise BenchError(f"{task.name} (cache={stage.mode}): {error}") from error
    return {mode: statistics.median(taken) for mode, taken in rates.items()}


def study(run, rounds, json_path):
    """Measures all tasks in both modes and prints the table. The exit status."""
    for name in ("dstd", "dstfs"):
        if not shutil.which(catalogue.program(name)):
            raise BenchError(f"{name} is needed and not found")
    rig, stages = start_stages(run)
    found, failed = [], []
    for task in TASKS:
        if task.root and os.geteuid() != 0:
            run.say(f"{task.name}: left out, needs root")
            continue
        run.say(task.name)
        try:
            found.append({"task": task.name, "unit": task.unit, **measure(task, stages, rounds)})
        except FioStuck:
            rig.stop(force=True)
            raise
        except BenchError as error:
            failed.append(str(error))
            run.say(failed[-1])
    rig.stop()
    print()
    header = ["task", "unit"] + [f"cache={mode}" for mode in MODES] + ["auto/none"]
    rows = [[row["task"], row["unit"]] + [f"{row[mode]:.0f}" for mode in MODES]
            + [f"{row['auto'] / row['none']:.2f}"] for row in found]
    print("\n".join(table(rows, header)))
    for line in failed:
        print(f"FAILED: {line}")
    if json_path:
        write_json(json_path, found)
    return 1 if failed else 0
