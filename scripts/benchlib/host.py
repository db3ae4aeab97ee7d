# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bench borrows from the machine and gives back: folders, processes, mounts, ports.

Everything here is registered for release before it exists, so that Ctrl-C at any point leaves
nothing behind. Only processes that were started here are ever signalled.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

MIB = 1 << 20
START_TIMEOUT = 15.0  # seconds until a daemon must be ready
STOP_TIMEOUT = 5.0    # seconds until a daemon that was asked to stop is killed
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """Something that a person can act on; one line."""


def run(argv, timeout=60, check=True, **kwargs):
    """Runs a command to its end; returns its stdout. BenchError names it if it fails."""
    try:
        done = subprocess.run(argv, check=False, timeout=timeout, text=True, **kwargs,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise BenchError(f"{argv[0]}: not found") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{argv[0]}: no end after {timeout:.0f} s") from error
    if check and done.returncode:
        why = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise BenchError(f"{' '.join(argv[:2])}: {why.splitlines()[-1]}")
    return done.stdout


def mounted(path):
    """Is path a mount point? Asks the kernel's table: stat() of a dead FUSE mount fails."""
    escaped = path.replace("\\", "\\134").replace(" ", "\\040")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return any(line.split()[4] == escaped for line in table)


def unmount(path, lazy=False):
    """Unmounts path. False: it is still busy, or its file system hangs; then lazy helps."""
    helper = ["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]
    force = ["-l" if os.geteuid() == 0 else "-z"] if lazy else []
    deadline = time.monotonic() + STOP_TIMEOUT
    while mounted(path):
        if time.monotonic() > deadline:
            return False
        process = subprocess.Popen(helper + force + [path], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
        if process.returncode:
            time.sleep(0.05)
    return True


def free_port():
    """A TCP port of the loopback address that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_child():
    """Our death, even by SIGKILL, ends the child."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Daemon:
    """A server or file system that runs in the foreground until stop(); what it remembers across
    starts goes to the folder `state`, not to the user's."""

    def __init__(self, argv, log, pidfile, state):
        self.name = os.path.basename(argv[0])
        self.log = log
        with open(log, "ab") as output:
            try:
                self.process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True, preexec_fn=in_child,
                    env=dict(os.environ, STATE_DIRECTORY=state))
            except FileNotFoundError as error:
                raise BenchError(f"{argv[0]}: not found") from error
        try:
            self.wait_for(lambda: os.path.exists(pidfile) and os.path.getsize(pidfile) > 0)
        except BaseException:
            self.stop()
            raise

    def wait_for(self, ready):
        """Waits until ready(); BenchError with the log's last line if the daemon dies first."""
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            status = self.process.poll()
            if status is not None:
                raise BenchError(f"{self.name} ended with status {status}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} is not ready after {START_TIMEOUT:.0f} s: "
                                 f"{self.last_words()}")
            time.sleep(0.005)

    def last_words(self):
        """The last line of the log."""
        with open(self.log, encoding="utf-8", errors="replace") as text:
            lines = text.read().strip().splitlines()
        return lines[-1] if lines else "(it said nothing)"

    def cpu_seconds(self):
        """The processor time that it has used so far, in user mode and in the kernel."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as text:
            fields = text.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, force=False):
        """Ends the process and waits for that."""
        for number in ([] if force else [signal.SIGTERM]) + [signal.SIGKILL]:
            if self.process.poll() is not None:
                return
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                continue


class Rig:
    """The daemons and the mount of one running system, taken down in reverse order."""

    def __init__(self, space, name):
        self.space = space
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=space.folder)
        self.daemons = []
        self.mounts = []
        self.images = []
        space.rigs.append(self)

    def path(self, name):
        """A path in this system's own folder."""
        return os.path.join(self.folder, name)

    def mount_point(self, name="mnt", is_file=False):
        """Creates a mount point, and unmounts it in the end."""
        path = self.path(name)
        self.mounts.append(path)
        if is_file:
            with open(path, "wb"):
                pass
        else:
            os.mkdir(path)
        return path

    def daemon(self, argv, pidfile_option):
        """Starts a daemon and waits until it has written its pid file."""
        pidfile = self.path(f"pid{len(self.daemons)}")
        log = self.path(f"{os.path.basename(argv[0])}.log")
        self.daemons.append(Daemon([argv[0], pidfile_option, pidfile] + argv[1:], log, pidfile,
                                   self.folder))

    @property
    def image(self):
        """The disk image that is shown, or the first of several."""
        return self.images[0] if self.images else None

    def serve(self, image, size, at_most=None):
        """Says which file is a disk image, and waits until it has its size: `size`, or up to
        `at_most`."""
        self.images.append(image)
        self.daemons[-1].wait_for(
            lambda: os.path.exists(image) and size <= os.stat(image).st_size <= (at_most or size))

    def cpu_seconds(self):
        """The processor time that all daemons have used so far."""
        return sum(daemon.cpu_seconds() for daemon in self.daemons)

    def stop(self, force=False):
        """Unmounts and stops everything. With force, at once, for a system that hangs. May be
        called again if it was interrupted."""
        if force:
            self.kill()
        for path in reversed(self.mounts):
            if not unmount(path):
                self.kill()
                unmount(path, lazy=True)
        for daemon in reversed(self.daemons):
            daemon.stop()
        if self in self.space.rigs:
            self.space.rigs.remove(self)

    def kill(self):
        """Ends all daemons without asking; what waits for their file system is released."""
        for daemon in reversed(self.daemons):
            daemon.stop(force=True)


class Workspace:
    """The folders of one run: logs and mount points in `folder`, disk images in `memory`."""

    def __init__(self, need, keep):
        self.keep = keep
        self.rigs = []
        self.releases = []  # what else must be undone, last first
        self.folder = tempfile.mkdtemp(prefix="dstfs-bench-")
        self.memory = None
        self.memory_mounted = False
        try:
            self.find_memory(need)
        except BaseException:
            self.release()
            raise

    def find_memory(self, need):
        """Picks /dev/shm if it is a tmpfs with room, else mounts a tmpfs, else says why not."""
        shm = "/dev/shm"
        if os.path.isdir(shm) and filesystem_type(shm) == "tmpfs" and os.access(shm, os.W_OK):
            about = os.statvfs(shm)
            if about.f_bavail * about.f_frsize > need:
                self.memory = tempfile.mkdtemp(prefix="dstfs-bench-", dir=shm)
                return
        if os.geteuid() != 0:
            raise BenchError(f"{shm} has no room for {need // MIB} MiB: try a smaller --size, "
                             "or root, who can mount a tmpfs")
        self.memory = os.path.join(self.folder, "memory")
        os.mkdir(self.memory)
        self.memory_mounted = True
        run(["mount", "-t", "tmpfs", "-o", f"size={need + 16 * MIB},mode=0700", "dstfs-bench",
             self.memory])

    def backing(self, name, size):
        """Creates a file of random data in memory; zeros or holes would flatter some systems."""
        path = os.path.join(self.memory, name)
        block = os.urandom(4 * MIB)
        with open(path, "wb") as output:
            for offset in range(0, size, len(block)):
                output.write(block[:min(len(block), size - offset)])
        return path

    def on_release(self, undo):
        """Registers a function to call at the end; returns it, for forget_release()."""
        self.releases.append(undo)
        return undo

    def forget_release(self, undo):
        """Takes back what on_release() registered."""
        self.releases.remove(undo)

    def release(self):
        """Takes everything down. Signals are not heard meanwhile; a failure stops nothing else."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        steps = list(reversed(self.releases))
        steps += [rig.stop for rig in reversed(self.rigs)]
        if self.memory_mounted:
            steps.append(lambda: unmount(self.memory) or unmount(self.memory, lazy=True))
        for step in steps:
            try:
                step()
            except (BenchError, OSError) as error:
                print(f"bench: cleaning up: {error}")
        if self.memory and not self.memory_mounted:
            shutil.rmtree(self.memory, ignore_errors=True)
        if self.keep:
            print(f"Logs and fio's own results are kept in {self.folder}")
        elif not any(mounted(mount) for mount in self.all_mount_points()):
            shutil.rmtree(self.folder, ignore_errors=True)

    def all_mount_points(self):
        """Mounts under our folder that are still there, in the order of the kernel's table."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            points = [line.split()[4] for line in table]
        return [point for point in points if point.startswith(self.folder + "/")]


def filesystem_type(path):
    """The type of the file system that path is on, as `stat -f` names it."""
    return run(["stat", "-f", "-c", "%T", path]).strip()


def describe():
    """Kernel, processor and memory, as (name, value) pairs."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as text:
        for line in text:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [("kernel", f"{os.uname().release} {os.uname().machine}"),
            ("processor", f"{len(os.sched_getaffinity(0))} x {model}"),
            ("memory", f"{memory / (1 << 30):.1f} GiB")]
