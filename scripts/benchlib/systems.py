# SPDX-License-Identifier: GPL-2.0-or-later
"""The systems that are compared: how each is started, and which settings of the peers are tried.

A setting is a dict. The candidates of a peer are what --tune measures; the *_FOUND are the best
ones per job that such a run found (on 2 cores of an AMD EPYC, Linux 6.18, Debian 12), used when no
settings file is given. dstfs has no settings: it runs on its defaults. Mirrors are in mirrors.py.
"""

import os
import re
import shutil
from dataclasses import dataclass, field
from typing import Callable

from benchlib.host import BenchError, Rig, free_port, run

HOST = "127.0.0.1"


@dataclass
class System:
    """One row of the comparison."""
    name: str
    about: str
    programs: list              # what must be installed
    start: Callable             # (rig, image files, settings) -> starts the daemons
    peer: bool = False
    own_files: int = 0          # that it needs, of equal content; 0: the one that all others share
    writes_only: bool = False   # takes part in jobs that write
    quick: bool = True          # takes part in --quick, unless named
    candidates: list = field(default_factory=list)
    found: dict = field(default_factory=dict)  # job -> settings; "" for all others


@dataclass
class Suite:
    """Systems that are compared with each other."""
    systems: list
    ratios: list                # (name, the name of what it is compared with; "": best peer)


def start_dstd(rig, image):
    """dstd on its defaults, over loopback TCP. Returns the URI of the image."""
    port = free_port()
    rig.daemon([program("dstd"), "-f", "--listen", f"{HOST}:{port}", "--export", f"vol0={image}"],
               "--pidfile")
    return f"dst://{HOST}:{port}/vol0"


def mount_dstfs(rig, source, settings):
    """dstfs on its defaults. Returns the folder where the images are."""
    mount = rig.mount_point()
    options = ["-o", f"cache={settings['cache']}"] if settings.get("cache") else []
    rig.daemon([program("dstfs"), source, mount, "-f"] + options, "--pidfile")
    return mount


def start_dstfs(rig, images, settings):
    """dstd and dstfs."""
    mount = mount_dstfs(rig, start_dstd(rig, images[0]), settings)
    rig.serve(os.path.join(mount, "vol0"), os.path.getsize(images[0]))


def start_dstfs_local(rig, images, settings):
    """dstfs over a file:// node: no server, no network."""
    mount = mount_dstfs(rig, f"file://{images[0]}", settings)
    rig.serve(os.path.join(mount, os.path.basename(images[0])), os.path.getsize(images[0]))


def start_nbdkit(rig, image, settings):
    """nbdkit's file plugin over loopback TCP. Returns its port."""
    port = free_port()
    rig.daemon(["nbdkit", "-f", "-i", HOST, "-p", str(port), "-t", str(settings["threads"]),
                "file", image], "-P")
    return port


def start_nbdfuse(rig, images, settings):
    """nbdfuse + nbdkit."""
    port = start_nbdkit(rig, images[0], settings)
    mount = os.path.join(rig.mount_point(), "disk")
    argv = ["nbdfuse", "-C", str(settings["connections"])]
    argv += ["-s"] if settings.get("single") else []
    rig.daemon(argv + [mount, f"nbd://{HOST}:{port}"], "-P")
    rig.serve(mount, os.path.getsize(images[0]))
    set_max_background(rig, settings)


def start_nbd_server(rig, image, settings):
    """nbdkit or qemu-nbd. Returns the options of the blockdev that is its client, but its name."""
    if settings["server"] == "nbdkit":
        port = start_nbdkit(rig, image, settings)
    else:
        port = free_port()
        rig.daemon(["qemu-nbd", "-t", "-f", "raw", "-b", HOST, "-p", str(port), "-e", "4",
                    f"--cache={settings['cache']}", f"--aio={settings['aio']}", image],
                   "--pid-file")
    return f"driver=nbd,server.type=inet,server.host={HOST},server.port={port}"


def start_qsd_export(rig, blockdevs, size, settings):
    """qemu-storage-daemon's FUSE export of the node "disk" that these blockdevs make."""
    mount = rig.mount_point("disk", is_file=True)
    argv = ["qemu-storage-daemon"]
    export = (f"type=fuse,id=export,node-name=disk,mountpoint={mount},"
              "writable=on,growable=off")
    if settings.get("iothread"):
        argv += ["--object", "iothread,id=io"]
        export += ",iothread=io"
    for blockdev in blockdevs:
        argv += ["--blockdev", blockdev]
    rig.daemon(argv + ["--export", export], "--pidfile")
    rig.serve(mount, size)
    set_max_background(rig, settings)


def start_qsd(rig, images, settings):
    """qemu-storage-daemon: NBD client and FUSE export, with nbdkit or qemu-nbd as server."""
    client = start_nbd_server(rig, images[0], settings)
    start_qsd_export(rig, [f"{client},node-name=disk"], os.path.getsize(images[0]), settings)


def set_max_background(rig, settings):
    """Raises the kernel's limit of queued requests of a mount that doesn't do so by itself."""
    if not settings.get("max_background"):
        return
    if os.geteuid() != 0:
        raise BenchError("max_background can only be raised by root")
    control = rig.mount_point("fusectl")
    run(["mount", "-t", "fusectl", "dstfs-bench", control])
    minor = os.minor(os.stat(rig.image).st_dev)
    with open(f"{control}/{minor}/max_background", "w", encoding="ascii") as file:
        file.write(str(settings["max_background"]))


def nbdfuse_candidates():
    """Connections by server threads, then one FUSE thread, then the kernel's queue."""
    grid = [{"connections": connections, "threads": threads}
            for connections in (1, 2, 4) for threads in (1, 2, 4, 16)]
    more = [{"connections": 1, "threads": 1, "single": True},
            {"connections": 1, "threads": 4, "single": True},
            {"connections": 2, "threads": 4, "max_background": 64},
            {"connections": 4, "threads": 4, "max_background": 64}]
    return grid + more


def qsd_candidates():
    """Either server at its settings, with the export in the main loop or a thread of its own."""
    servers = [{"server": "nbdkit", "threads": threads} for threads in (1, 2, 4, 16)]
    servers += [{"server": "qemu-nbd", "cache": "writeback", "aio": "threads"},
                {"server": "qemu-nbd", "cache": "writeback", "aio": "io_uring"},
                {"server": "qemu-nbd", "cache": "none", "aio": "native"},
                {"server": "qemu-nbd", "cache": "none", "aio": "io_uring"}]
    more = [{"server": "nbdkit", "threads": 4, "max_background": 64}]
    return servers + [dict(server, iothread=True) for server in servers] + more


NBDFUSE_FOUND = {
    "": {"connections": 2, "threads": 4},
    "seqread": {"connections": 1, "threads": 1},
    "seqwrite": {"connections": 2, "threads": 2},
    "randread-qd1": {"connections": 4, "threads": 2},
    "randwrite-qd1": {"connections": 4, "threads": 16},
    "randread-qd32": {"connections": 4, "threads": 1},
    "randwrite-qd32": {"connections": 4, "threads": 1},
    "syncwrite-4": {"connections": 1, "threads": 1},
    "fsync": {"connections": 4, "threads": 4},
}

QSD_FOUND = {
    "": {"server": "nbdkit", "threads": 4},
    "seqread": {"server": "nbdkit", "threads": 1, "iothread": True},
    "seqwrite": {"server": "nbdkit", "threads": 1},
    "randread-qd1": {"server": "nbdkit", "threads": 1, "iothread": True},
    "randwrite-qd1": {"server": "nbdkit", "threads": 4},
    "randread-qd32": {"server": "nbdkit", "threads": 2},
    "randwrite-qd32": {"server": "nbdkit", "threads": 2},
    "syncwrite-4": {"server": "nbdkit", "threads": 1},
    "fsync": {"server": "nbdkit", "threads": 4, "iothread": True},
}

SUITE = Suite([
    System("dstfs", "dstfs + dstd over loopback TCP, checksums on, defaults", ["dstfs", "dstd"],
           start_dstfs),
    System("dstfs-local", "dstfs over a file:// node, no server", ["dstfs"], start_dstfs_local,
           own_files=1, quick=False),
    System("nbdfuse", "nbdfuse + nbdkit (file plugin) over loopback TCP", ["nbdfuse", "nbdkit"],
           start_nbdfuse, peer=True, candidates=nbdfuse_candidates(),
           found=NBDFUSE_FOUND),
    System("qsd", "qemu-storage-daemon's FUSE export over an NBD server, loopback TCP",
           ["qemu-storage-daemon", "qemu-nbd", "nbdkit"], start_qsd, peer=True,
           candidates=qsd_candidates(), found=QSD_FOUND),
], ratios=[("dstfs", ""), ("dstfs-local", "")])

BUILD_FOLDER = None  # set once by the command line: where dstfs and dstd are


def program(name):
    """Path of a program: ours from the build folder, all others from PATH."""
    if BUILD_FOLDER and name in ("dstfs", "dstd", "dstctl"):
        return os.path.join(BUILD_FOLDER, name)
    return name


def missing(system):
    """The programs that a system lacks."""
    return [name for name in system.programs if not shutil.which(program(name))]


def start(space, system, images, settings):
    """Starts a system on image files; returns its rig, what it shows in rig.images. Tries
    again where another process may have taken the port in between."""
    for attempt in range(3):
        rig = Rig(space, system.name)
        try:
            system.start(rig, images, settings)
            return rig
        except BenchError as error:
            rig.stop()
            if attempt == 2 or "in use" not in str(error):
                raise
        except BaseException:
            rig.stop()
            raise
    raise AssertionError("not reached")


def label(settings):
    """Settings as a short text: server=nbdkit threads=4."""
    return " ".join(f"{key}={value}" for key, value in settings.items()) or "defaults"


def settings_for(system, job, chosen):
    """The settings that a system runs a job with: from the settings file, else what was found."""
    table = chosen.get(system.name) or system.found
    return table.get(job) or table.get("") or {}


def versions():
    """Versions of all that takes part, as (name, value) pairs."""
    found = []
    for name in ("dstfs", "dstd", "fio", "nbdkit", "nbdfuse", "qemu-storage-daemon", "fusermount3"):
        if not shutil.which(program(name)):
            found.append((name, "not installed"))
            continue
        lines = run([program(name), "--version"], check=False).splitlines()
        number = re.search(r"\d+(\.\d+)+", lines[0]) if lines else None
        found.append((name, number.group(0) if number else "unknown"))
    return found
