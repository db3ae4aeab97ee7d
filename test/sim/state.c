/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - what dstd remembers across starts, on the server's own disk. Replaces state.h. What was
 * stored is durable. The server may be killed while it stores: it never learns how that ended.
 */
#include "test/sim/state.h"

#include "common/random.h"
#include "server/state.h"
#include "test/sim/heap.h"

#include <errno.h>
#include <string.h>

struct state {
	char unused;
};

static struct {
	bool known, export_known;
	uint8_t server_id[DST_ID_SIZE];
	struct state_export export;
	unsigned fail_percent, kill_permille;
	void (*kill)(void);
} disk;

void state_reset(void)
{
	memset(&disk, 0, sizeof(disk));
}

void state_lose(void)
{
	disk.export_known = disk.known = false;
}

void state_set_failing(unsigned percent)
{
	disk.fail_percent = percent;
}

void state_set_killing(unsigned permille, void (*kill)(void))
{
	disk.kill_permille = permille;
	disk.kill = kill;
}

struct state *state_open(void)
{
	return heap_calloc(1, sizeof(struct state));
}

void state_close(struct state **state)
{
	heap_free(*state);
	*state = NULL;
}

void state_server_id(struct state *state, uint8_t id[DST_ID_SIZE])
{
	if (!disk.known)
		random_bytes(disk.server_id, DST_ID_SIZE);
	disk.known = true;
	memcpy(id, disk.server_id, DST_ID_SIZE);
}

void state_export_load(struct state *state, const char *name, const char *path,
		       struct state_export *out)
{
	if (!disk.export_known) {
		disk.export = (struct state_export){.epoch.counter = 1};
		random_bytes(disk.export.uuid, DST_ID_SIZE);
		random_bytes(disk.export.epoch.uuid, DST_ID_SIZE);
		random_bytes(disk.export.instance, DST_ID_SIZE);
	}
	disk.export_known = true;
	*out = disk.export;
}

int state_export_store(struct state *state, const char *name, const char *path,
		       const struct state_export *in)
{
	bool dies = sim_permille(disk.kill_permille), stored = !dies || sim_chance(50);

	if (sim_chance(disk.fail_percent)) {
		sim_count(COUNT_STATE_ERRORS);
		sim_trace("state: storing fails");
		return EIO;
	}
	if (stored)
		disk.export = *in;
	if (dies)
		disk.kill();
	return 0; /* if it dies, nobody hears of it */
}
