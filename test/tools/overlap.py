#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Overlapping writes from many threads: what is read afterwards must be what some one order of them
leaves, an order in which whoever was answered before another began comes first.

	overlap.py PATH SECONDS THREADS SIZE    prints the number of writes; 1 and why if it isn't so

Writes go to the first SIZE bytes, O_DIRECT. Every 8 bytes of a write hold its number.
"""
import mmap
import os
import random
import sys
import threading
import time

BLOCK = 4096
PATH, SECONDS, THREADS, SIZE = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
BLOCKS = SIZE // BLOCK
fd = os.open(PATH, os.O_RDWR | os.O_DIRECT)
writes = {}  # number: (first block, blocks, begin, end)
errors = []


def work(index):
    draw = random.Random(index)
    memory = mmap.mmap(-1, 64 * BLOCK)
    number = index
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not errors:
        count = draw.randint(1, 16 if draw.random() < 0.8 else 64)
        first = draw.randrange(BLOCKS - count + 1)
        memory[:count * BLOCK] = number.to_bytes(8, "little") * (count * BLOCK // 8)
        begin = time.monotonic()
        try:
            done = os.pwrite(fd, memoryview(memory)[:count * BLOCK], first * BLOCK)
        except OSError as error:
            errors.append(f"write: {error}")
            return
        if done != count * BLOCK:
            errors.append(f"a write of {count * BLOCK} bytes wrote {done}")
            return
        writes[number] = (first, count, begin, time.monotonic())
        number += THREADS


def final_writers():
    """The number of the write whose data each block holds; 0: none."""
    memory = mmap.mmap(-1, SIZE)
    if os.preadv(fd, [memory], 0) != SIZE:
        sys.exit("a short read")
    found = []
    for block in range(BLOCKS):
        data = memory[block * BLOCK:(block + 1) * BLOCK]
        if data != data[:8] * (BLOCK // 8):
            sys.exit(f"block {block} is torn")
        found.append(int.from_bytes(data[:8], "little"))
    return found


def check(final):
    later = {}  # a write: those that must have come before it
    for number, (first, count, _, end) in writes.items():
        for block in range(first, first + count):
            last = final[block]
            if not last:
                sys.exit(f"block {block}: write {number} is lost")
            if last == number:
                continue
            if writes[last][3] < writes[number][2]:
                sys.exit(f"block {block} holds write {last}, which was over when write {number} began")
            later.setdefault(last, set()).add(number)
    for number, before in later.items():
        for other in before:
            if number in later.get(other, ()):
                sys.exit(f"writes {number} and {other} overwrote each other")


threads = [threading.Thread(target=work, args=(i + 1,)) for i in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if errors:
    sys.exit(errors[0])
check(final_writers())
print(len(writes))
