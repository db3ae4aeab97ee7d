# SPDX-License-Identifier: GPL-2.0-or-later
"""The systems of --mirror: two copies of everything.

What a mirror costs is seen beside one volume on one node, and beside two volumes on one node each
that fio writes to at once, each with all of the job: the same bytes to the same number of servers,
without anything that keeps them alike.
"""

import os

from benchlib.host import run
from benchlib.systems import (HOST, Suite, System, mount_dstfs, program, start_dstd, start_dstfs,
                              start_nbd_server, start_qsd_export)

COPIES = 2


def start_mirror(rig, images, sources, settings, create=("--assume-equal",)):
    """dstfs with a mirror of these nodes, n0 and so on; `create`: how it is made, see dstctl(1)."""
    config = rig.path("mirror.conf")
    with open(config, "w", encoding="utf-8") as output:
        output.write("[volume vol0]\nmap = mirror\n")
        output.writelines(f"node = n{number} {uri}\n" for number, uri in enumerate(sources))
    run([program("dstctl"), "mirror", "create", "vol0", *create, "--force", "--config", config])
    mount = mount_dstfs(rig, config, settings)
    size = os.path.getsize(images[0])
    rig.serve(os.path.join(mount, "vol0"), size // 2, at_most=size)


def start_dstfs_mirror(rig, images, settings):
    """Two dstd, and dstfs with a mirror of them."""
    start_mirror(rig, images, [start_dstd(rig, image) for image in images], settings)


def start_dstfs_mirror_local(rig, images, settings):
    """dstfs with a mirror of two files."""
    start_mirror(rig, images, [f"file://{image}" for image in images], settings)


def start_dstfs_two(rig, images, settings):
    """Two dstd, and dstfs with a volume on each."""
    config = rig.path("two.conf")
    with open(config, "w", encoding="utf-8") as output:
        for number, image in enumerate(images):
            output.write(f"[volume vol{number}]\nnode = {start_dstd(rig, image)}\n")
    mount = mount_dstfs(rig, config, settings)
    for number, image in enumerate(images):
        rig.serve(os.path.join(mount, f"vol{number}"), os.path.getsize(image))


def start_qsd_quorum(rig, images, settings):
    """
    qemu-storage-daemon's quorum of two NBD clients, over FUSE. One vote is enough, so that it goes
    on without the other as a mirror does; it waits for both even so. Of the read patterns "quorum"
    reads both and compares, "fifo" reads the first.
    """
    blockdevs = []
    for number, image in enumerate(images):
        client = start_nbd_server(rig, image, settings)
        blockdevs.append(f"{client},node-name=child{number}")
    children = ",".join(f"children.{number}=child{number}" for number in range(len(images)))
    blockdevs.append(f"driver=quorum,node-name=disk,{children},vote-threshold=1,"
                     "read-pattern=fifo")
    start_qsd_export(rig, blockdevs, os.path.getsize(images[0]), settings)


def quorum_candidates():
    """Either server at its settings, with the export in the main loop or a thread of its own."""
    servers = [{"server": "nbdkit", "threads": threads} for threads in (1, 2, 4)]
    servers += [{"server": "qemu-nbd", "cache": "writeback", "aio": "threads"},
                {"server": "qemu-nbd", "cache": "writeback", "aio": "io_uring"}]
    more = [{"server": "nbdkit", "threads": 2, "max_background": 64}]
    return servers + [dict(server, iothread=True) for server in servers] + more


QUORUM_FOUND = {
    "": {"server": "nbdkit", "threads": 2},
    "seqwrite": {"server": "nbdkit", "threads": 2, "iothread": True},
    "syncwrite-4": {"server": "nbdkit", "threads": 1},
    "fsync": {"server": "nbdkit", "threads": 4},
}

SUITE = Suite([
    System("dstfs-mirror", f"dstfs over {COPIES} dstd, loopback TCP, checksums on, defaults",
           ["dstfs", "dstd", "dstctl"], start_dstfs_mirror, own_files=COPIES),
    System("dstfs", "one volume on one dstd", ["dstfs", "dstd"], start_dstfs),
    System("dstfs-two", f"{COPIES} volumes on one dstd each, the job on all of them at once: rates "
           "are those of each, costs those of all", ["dstfs", "dstd"], start_dstfs_two,
           own_files=COPIES, writes_only=True),
    System("dstfs-mirror-local", f"dstfs over {COPIES} file:// nodes, no server",
           ["dstfs", "dstctl"], start_dstfs_mirror_local, own_files=COPIES, quick=False),
    System("qsd-quorum", f"qemu-storage-daemon's quorum over {COPIES} NBD servers, loopback TCP, "
           "FUSE export", ["qemu-storage-daemon", "qemu-nbd", "nbdkit"], start_qsd_quorum,
           peer=True, own_files=COPIES, candidates=quorum_candidates(), found=QUORUM_FOUND),
], ratios=[("dstfs-mirror", "dstfs"), ("dstfs-mirror", "dstfs-two"), ("dstfs-mirror", "qsd-quorum"),
           ("dstfs-mirror-local", "qsd-quorum")])
