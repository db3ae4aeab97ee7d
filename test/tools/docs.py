#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Compares what is said of options and keys: by --help, by the manuals, by dstfs.conf.example, and by
the tables in the source, which are the truth about keys.

	docs.py TREE BUILD      prints each difference; 0 if there is none
"""
import os
import re
import subprocess
import sys

TREE, BUILD = sys.argv[1:3]
SECTIONS = {"mount": "dstfs", "volume": "volume NAME", "node": "volume NAME", "server": "server",
            "export": "export NAME"}
wrong = []


def read(name):
    with open(os.path.join(TREE, name), encoding="utf-8") as text:
        return text.read()


def compare(what, one, other):
    for said, there, missing in ((one, other, "not in the second"), (other, one, "only there")):
        for name in sorted(set(said) - set(there)):
            wrong.append(f"{what}: {name}: {missing}")


def help_options(program):
    text = subprocess.run([os.path.join(BUILD, program), "--help"], capture_output=True,
                          text=True, check=True).stdout
    return re.findall(r"^ +(?:-\w, )?--([a-z][a-z-]*)", text, re.M)


def manual_options(name):
    items = re.findall(r"^\.It Fl .*", read(f"man/{name}"), re.M)
    return re.findall(r"Fl -([a-z][a-z-]*)", "\n".join(items))


def keys():
    """(table, key, default or None) of every row in the source."""
    source = read("common/conf_tables.c")
    standard = dict(re.findall(r'#define (\w+) "([^"]*)"', source))
    for table, rows in re.findall(r"conf_(\w+)_keys\[\] = \{(.*?)^\};", source, re.M | re.S):
        for row in re.findall(r"\{\.name = .*?\},", rows, re.S):
            name = re.search(r'\.name = "(\w+)"', row).group(1)
            value = re.search(r'\.standard = (?:"([^"]*)"|(\w+))', row)
            yield table, name, value and (value.group(1) or standard.get(value.group(2)))


def example_keys():
    """section -> key -> value, whether it is a comment or not."""
    section, found = None, {}
    for line in read("dstfs.conf.example").splitlines():
        head = re.match(r"#?\s?\[(\w+)", line)
        entry = re.match(r"#?\s?(\w+)\s*=\s*(.*)$", line)
        if head:
            section = found.setdefault(head.group(1), {})
        elif entry and section is not None:
            section.setdefault(entry.group(1), []).append(entry.group(2))
    return found


def check_keys():
    manual = read("man/dstfs.conf.5")
    example = example_keys()
    for table, name, value in keys():
        section = SECTIONS[table].split()[0]
        if not re.search(rf"^\.It .*\bCm {name} ", manual, re.M):
            wrong.append(f"dstfs.conf.5: says nothing of {name}")
        here = example.get(section, {}).get(name)
        if here is None:
            wrong.append(f"dstfs.conf.example: [{section}] has no {name}")
        elif value is not None and section != "volume" and value not in here:
            wrong.append(f"dstfs.conf.example: [{section}] {name} = {here}, the default is {value}")
    known = {(SECTIONS[t].split()[0], n) for t, n, _ in keys()}
    for section, entries in example.items():
        for name in entries:
            if (section, name) not in known and name != "include":
                wrong.append(f"dstfs.conf.example: [{section}] {name}: no such key")


for program, page in (("dstfs", "dstfs.1"), ("dstd", "dstd.8"), ("dstctl", "dstctl.1")):
    compare(f"{program} --help and {page}", help_options(program), manual_options(page))
check_keys()
print("\n".join(wrong) or "help, manuals, example and source agree")
sys.exit(1 if wrong else 0)
