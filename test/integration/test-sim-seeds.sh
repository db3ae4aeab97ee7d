#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The simulator finds nothing: in seeds that are always the same, of all volumes, and in fresh ones of
# volumes of one node; those of maps are for scripts/soak. What it prints tells which those were. A seed
# gives the same run each time.
# timeout: 300
. "$SRC/test/lib.sh"

sim=$BUILD/sim
for seed in 7 1001; do
	"$sim" --seed $seed --trace >once || fail "seed $seed"
	"$sim" --seeds $((seed - 2))..$((seed - 1)) >/dev/null
	"$sim" --seed $seed --trace >again
	grep -v "processor's minute" once >once.trace
	grep -v "processor's minute" again >again.trace
	cmp once.trace again.trace
	[ "$(wc -l <once.trace)" -gt 100 ]
done
"$sim" --seeds 1..5000 --seconds 120 --counts
"$sim" --shape 0 --seconds 40
