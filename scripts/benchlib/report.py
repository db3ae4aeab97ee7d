# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as a table for people and as JSON for programs."""

import json

from benchlib.jobs import METRICS
from benchlib.measure import ranked


def table(rows, header):
    """Lines of a table with aligned columns: the first to the left, all others to the right."""
    cells = [header] + rows
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        parts = [row[0].ljust(widths[0])]
        parts += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines


def best_peer(job, systems, results):
    """Index of the peer that is best at a job, or None."""
    peers = [result if system.peer else None for system, result in zip(systems, results)]
    order = ranked(job, peers)
    return order[0] if order else None


def ratio(job, result, other):
    """A result over another, in the job's own metric; None where one is missing."""
    if not result or not other or not other[job.metric]:
        return None
    return result[job.metric] / other[job.metric]


def ratios_of(job, systems, results, wanted):
    """The ratios that are wanted, see Suite: (name, name or "best") -> ratio, None where one is
    missing; without those of systems that don't take part at all."""
    index = {system.name: number for number, system in enumerate(systems)}
    index[""] = best_peer(job, systems, results)
    found = {}
    for ours, theirs in wanted:
        if ours in index and theirs in index:
            other = results[index[theirs]] if index[theirs] is not None else None
            found[ours, theirs or "best"] = ratio(job, results[index[ours]], other)
    return found


def comparison(jobs, systems, outcomes, wanted):
    """The table: a row a job; medians, their spread, and the ratios that are wanted."""
    pairs = ratios_of(jobs[0], systems, outcomes[jobs[0].name], wanted)
    header = ["job", "unit"] + [system.name for system in systems]
    header += [f"{ours}/{theirs}" for ours, theirs in pairs] + ["better is", "best peer"]
    rows = []
    for job in jobs:
        results = outcomes[job.name]
        unit, form = METRICS[job.metric]
        best = best_peer(job, systems, results)
        row = [job.name, unit]
        for result in results:
            row.append(f"{form.format(result[job.metric])} ±{result['spread']:.0%}"
                       if result else "-")
        for value in ratios_of(job, systems, results, wanted).values():
            row.append(f"{value:.2f}" if value else "-")
        row.append("less" if job.less_is_better else "more")
        row.append(systems[best].name if best is not None else "-")
        rows.append(row)
    return table(rows, header)


def costs(jobs, systems, outcomes):
    """The table of the processor time that the daemons take."""
    rows = []
    for job in jobs:
        rows.append([job.name] + [f"{result['cpu_us']:.1f}" if result else "-"
                                  for result in outcomes[job.name]])
    return table(rows, ["job"] + [system.name for system in systems])


def records(jobs, systems, outcomes, settings, wanted):
    """The JSON array: one record for each job and system that has a result."""
    found = []
    for job in jobs:
        results = outcomes[job.name]
        best = best_peer(job, systems, results)
        pairs = ratios_of(job, systems, results, wanted)
        for system, result in zip(systems, results):
            if not result:
                continue
            value = ratio(job, result, results[best] if best is not None else None)
            found.append({
                "job": job.name, "system": system.name,
                "mib_s": round(result["mib_s"], 2), "iops": round(result["iops"], 1),
                "lat_us": round(result["lat_us"], 2), "cpu_us": round(result["cpu_us"], 2),
                "ratio_to_best_peer": round(value, 4) if value else None,
                "ratios": {theirs: round(number, 4) for (ours, theirs), number in pairs.items()
                           if ours == system.name and number},
                "metric": job.metric, "better": "less" if job.less_is_better else "more",
                "spread": round(result["spread"], 4),
                "settings": settings[job.name][system.name],
            })
    return found


def write_json(path, value):
    """Writes value to a file."""
    with open(path, "w", encoding="utf-8") as output:
        json.dump(value, output, indent=1)
        output.write("\n")
