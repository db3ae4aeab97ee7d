# SPDX-License-Identifier: GPL-2.0-or-later
"""The jobs, each one fio command, and what is read from fio's answer."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass

from benchlib.host import BenchError, in_child

RAMP = 0.1  # of the runtime, before it: not counted
FIO_SLACK = 20  # seconds beside its runtime after which a fio is taken for stuck


@dataclass
class Job:
    """One access pattern. `metric` is the number that systems are compared by."""
    name: str
    about: str
    arguments: list
    metric: str = "iops"

    @property
    def less_is_better(self):
        """Is a smaller number of the metric the better one?"""
        return self.metric == "lat_us"

    @property
    def writes(self):
        """Does it write?"""
        return any(argument in ("--rw=write", "--rw=randwrite") for argument in self.arguments)


LIBAIO = ["--ioengine=libaio", "--direct=1"]
PSYNC = ["--ioengine=psync", "--direct=1"]

JOBS = [
    Job("seqread", "1 MiB sequential read, QD8",
        LIBAIO + ["--rw=read", "--bs=1m", "--iodepth=8"], "mib_s"),
    Job("seqwrite", "1 MiB sequential write, QD8",
        LIBAIO + ["--rw=write", "--bs=1m", "--iodepth=8"], "mib_s"),
    Job("randread-qd1", "4 KiB random read, QD1",
        LIBAIO + ["--rw=randread", "--bs=4k", "--iodepth=1"], "lat_us"),
    Job("randwrite-qd1", "4 KiB random write, QD1",
        LIBAIO + ["--rw=randwrite", "--bs=4k", "--iodepth=1"], "lat_us"),
    Job("randread-qd32", "4 KiB random read, QD32",
        LIBAIO + ["--rw=randread", "--bs=4k", "--iodepth=32"]),
    Job("randwrite-qd32", "4 KiB random write, QD32",
        LIBAIO + ["--rw=randwrite", "--bs=4k", "--iodepth=32"]),
    Job("syncwrite-4", "4 KiB random write, 4 synchronous writers",
        PSYNC + ["--rw=randwrite", "--bs=4k", "--numjobs=4"]),
    Job("fsync", "4 KiB random write, fsync after each, one writer",
        PSYNC + ["--rw=randwrite", "--bs=4k", "--fsync=1"], "lat_us"),
]

METRICS = {"mib_s": ("MiB/s", "{:.0f}"), "iops": ("IOPS", "{:.0f}"), "lat_us": ("us", "{:.1f}")}


class FioStuck(BenchError):
    """fio didn't end; the system under it must be stopped by force."""


def fio(paths, arguments, runtime, size, keep_as=None):
    """
    Runs fio on the files for `runtime` seconds and returns mib_s, iops and lat_us: the mean time
    from submission to completion; with an fsync after each write, that of the pair. Several files
    are worked on at once, each like one alone, and the rates are those of each.
    """
    argv = ["fio", f"--size={size}", "--time_based", f"--runtime={int(runtime * 1000)}ms",
            f"--ramp_time={int(runtime * RAMP * 1000)}ms", "--thread", "--group_reporting",
            "--norandommap", "--allow_file_create=0", "--fallocate=none", "--output-format=json"]
    argv += arguments
    for path in paths:
        argv += ["--name=bench", f"--filename={path}"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=in_child)
    try:
        output, errors = process.communicate(timeout=runtime * 1.1 + FIO_SLACK)
    except subprocess.TimeoutExpired as error:
        process.send_signal(signal.SIGKILL)
        raise FioStuck(f"fio is stuck on {os.path.basename(paths[0])}") from error
    except BaseException:
        process.send_signal(signal.SIGKILL)
        raise
    if keep_as:
        with open(keep_as, "w", encoding="utf-8") as copy:
            copy.write(output)
    if process.returncode:
        why = (errors.strip() or output.strip() or "no reason given").splitlines()
        raise BenchError(f"fio: status {process.returncode}: {why[0]}")
    return results(output, len(paths))


def results(output, files):
    """Picks the numbers from fio's JSON, which other text may precede."""
    job = json.loads(output[output.index("{"):])["jobs"][0]
    if job["error"]:
        raise BenchError(f"fio: {os.strerror(job['error'])}")
    side = job["read"] if job["read"]["total_ios"] else job["write"]
    if not side["total_ios"]:
        raise BenchError("fio: no I/O was completed")
    latency = side["lat_ns"]["mean"]
    if job["sync"]["total_ios"]:
        latency += job["sync"]["lat_ns"]["mean"]
    return {"mib_s": side["bw_bytes"] / (1 << 20) / files, "iops": side["iops"] / files,
            "lat_us": latency / 1000}
