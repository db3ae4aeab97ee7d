#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Does system calls on one file and prints what came of each: a number, "ok", or the errno's name.

	call.py PATH FLAGS OPERATION...

FLAGS: those of open, joined by commas (ro, rw, wo, trunc, creat, direct, sync, dsync, append), or
"path": the file is not opened. Numbers take the suffixes k, m, g. Operations:

	read:OFFSET:LENGTH[:BYTE]       bytes read, "wrong at N" where one isn't BYTE
	write:OFFSET:LENGTH:BYTE        bytes written
	mmap:OFFSET:LENGTH:BYTE         writes through a shared mapping, then msync
	mapped:OFFSET:LENGTH:BYTE       reads through a shared mapping
	fsync  fdatasync                ok
	truncate:LENGTH                 ok
	fallocate:MODES:OFFSET:LENGTH   MODES: keep, punch, zero, collapse, insert, unshare, joined by +, or none
	data:OFFSET  hole:OFFSET  end   lseek's answer
	copy:FROM:TO:LENGTH             copy_file_range inside the file: bytes copied
	unlink mkdir rmdir rename:NAME link:NAME symlink mknod chmod:MODE
	size  mode  getxattr:NAME  setxattr:NAME:VALUE
"""
import ctypes
import errno
import mmap
import os
import stat
import sys

FLAGS = {
    "ro": os.O_RDONLY, "rw": os.O_RDWR, "wo": os.O_WRONLY, "trunc": os.O_TRUNC,
    "creat": os.O_CREAT, "direct": os.O_DIRECT, "sync": os.O_SYNC, "dsync": os.O_DSYNC,
    "append": os.O_APPEND,
}
MODES = {"none": 0, "keep": 1, "punch": 2, "collapse": 8, "zero": 16, "insert": 32, "unshare": 64}
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def name_of(error):
    # Of two names for one number Python picks the less usual one.
    name = errno.errorcode[error.errno]
    return "EOPNOTSUPP" if name == "ENOTSUP" else name


def number(text):
    unit = UNITS.get(text[-1:].lower())
    return int(text[:-1], 0) * unit if unit else int(text, 0)


def aligned(length, byte=0):
    """A buffer that O_DIRECT takes."""
    buffer = mmap.mmap(-1, max(length, 1))
    buffer.write(bytes([byte]) * length)
    return memoryview(buffer)[:length]


def compare(data, byte):
    if byte is None:
        return len(data)
    for i, b in enumerate(data):
        if b != byte:
            return f"wrong at {i}"
    return len(data)


class Calls:
    def __init__(self, path, fd):
        self.path, self.fd = path, fd

    def read(self, offset, length, byte=None):
        data = aligned(number(length))
        count = os.preadv(self.fd, [data], number(offset))
        return compare(bytes(data[:count]), None if byte is None else number(byte))

    def write(self, offset, length, byte):
        return os.pwritev(self.fd, [aligned(number(length), number(byte))], number(offset))

    def mmap(self, offset, length, byte):
        with mmap.mmap(self.fd, number(length), mmap.MAP_SHARED, offset=number(offset)) as area:
            area.write(bytes([number(byte)]) * number(length))
            area.flush()

    def mapped(self, offset, length, byte):
        with mmap.mmap(self.fd, number(length), mmap.MAP_SHARED, mmap.PROT_READ,
                       offset=number(offset)) as area:
            return compare(area.read(), number(byte))

    def fsync(self):
        os.fsync(self.fd)

    def fdatasync(self):
        os.fdatasync(self.fd)

    def truncate(self, length):
        os.truncate(self.path if self.fd is None else self.fd, number(length))

    def fallocate(self, modes, offset, length):
        mode = sum(MODES[m] for m in modes.split("+"))
        if libc.fallocate(self.fd, mode, number(offset), number(length)):
            raise OSError(ctypes.get_errno(), "fallocate")

    def data(self, offset):
        return os.lseek(self.fd, number(offset), os.SEEK_DATA)

    def hole(self, offset):
        return os.lseek(self.fd, number(offset), os.SEEK_HOLE)

    def end(self):
        return os.lseek(self.fd, 0, os.SEEK_END)

    def copy(self, source, target, length):
        return os.copy_file_range(self.fd, self.fd, number(length), number(source), number(target))

    def unlink(self):
        os.unlink(self.path)

    def mkdir(self):
        os.mkdir(self.path)

    def rmdir(self):
        os.rmdir(self.path)

    def rename(self, name):
        os.rename(self.path, name)

    def link(self, name):
        os.link(self.path, name)

    def symlink(self):
        os.symlink("/", self.path)

    def mknod(self):
        os.mknod(self.path, stat.S_IFIFO | 0o600)

    def chmod(self, mode):
        os.chmod(self.path, int(mode, 8))

    def size(self):
        return os.stat(self.path).st_size

    def mode(self):
        return oct(os.stat(self.path).st_mode)[2:]

    def getxattr(self, name):
        return os.getxattr(self.path, name).decode()

    def setxattr(self, name, value):
        os.setxattr(self.path, name, value.encode())


def attempt(function, *arguments):
    """Prints what the function returns, or its error. Returns False if it failed."""
    try:
        result = function(*arguments)
    except OSError as error:
        print(name_of(error), flush=True)
        return False
    print("ok" if result is None else result, flush=True)
    return True


def main():
    path, flags, operations = sys.argv[1], sys.argv[2], sys.argv[3:]
    fd = None
    if flags != "path":
        try:
            fd = os.open(path, sum(FLAGS[f] for f in flags.split(",")), 0o600)
        except OSError as error:
            print(name_of(error))
            return
        if not operations:
            print("ok")
    calls = Calls(path, fd)
    for operation in operations:
        name, *arguments = operation.split(":")
        attempt(getattr(calls, name), *arguments)


if __name__ == "__main__":
    main()
