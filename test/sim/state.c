/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - what each dstd remembers across starts, on a disk of its own machine. Replaces state.h. What was
 * stored is durable. The server may be killed while it stores: it never learns how that ended.
 */
#include "test/sim/state.h"

#include "common/random.h"
#include "server/state.h"
#include "test/sim/heap.h"

#include <errno.h>
#include <string.h>

/* A server's folder. */
static struct folder {
	bool known, export_known;
	uint8_t server_id[DST_ID_SIZE];
	struct state_export export;
} folders[NODES_MOST];

struct state {
	struct folder *folder;
};

static unsigned fail_percent, kill_permille;
static void (*kill_fn)(unsigned node);

void state_reset(void)
{
	memset(folders, 0, sizeof(folders));
	fail_percent = kill_permille = 0;
}

void state_lose(unsigned node)
{
	folders[node].export_known = folders[node].known = false;
}

void state_set_failing(unsigned percent)
{
	fail_percent = percent;
}

void state_set_killing(unsigned permille, void (*kill)(unsigned node))
{
	kill_permille = permille;
	kill_fn = kill;
}

struct state *state_open(void)
{
	struct state *state = heap_calloc(1, sizeof(*state));

	state->folder = &folders[sim.current->host - HOST_SERVER];
	return state;
}

void state_close(struct state **state)
{
	heap_free(*state);
	*state = NULL;
}

void state_server_id(struct state *state, uint8_t id[DST_ID_SIZE])
{
	struct folder *folder = state->folder;

	if (!folder->known)
		random_bytes(folder->server_id, DST_ID_SIZE);
	folder->known = true;
	memcpy(id, folder->server_id, DST_ID_SIZE);
}

void state_export_load(struct state *state, const char *name, const char *path,
		       struct state_export *out)
{
	struct folder *folder = state->folder;

	if (!folder->export_known) {
		folder->export = (struct state_export){.epoch.counter = 1};
		random_bytes(folder->export.uuid, DST_ID_SIZE);
		random_bytes(folder->export.epoch.uuid, DST_ID_SIZE);
		random_bytes(folder->export.instance, DST_ID_SIZE);
	}
	folder->export_known = true;
	*out = folder->export;
}

int state_export_store(struct state *state, const char *name, const char *path,
		       const struct state_export *in)
{
	bool dies = sim_permille(kill_permille), stored = !dies || sim_chance(50);

	if (sim_chance(fail_percent)) {
		sim_count(COUNT_STATE_ERRORS);
		sim_trace("state: storing fails");
		return EIO;
	}
	if (stored)
		state->folder->export = *in;
	if (dies)
		kill_fn((unsigned)(state->folder - folders));
	return 0; /* if it dies, nobody hears of it */
}
