/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_make.c - "dstctl mirror create": a mirror of nodes that hold data, which they keep. */
#include "dstctl/human.h"
#include "dstctl/mirror_action.h"
#include "dstfs/mirror_create.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_zero(struct offline *o, unsigned part, struct range range, int *error)
{
	static uint8_t buffer[OFFLINE_WINDOW];
	bool zero = true;

	while (range.length && zero && !*error) {
		struct range piece = range_head(range, sizeof(buffer));

		range_advance(&range, piece.length);
		*error = offline_read(o, part, piece.offset, buffer, piece.length);
		if (!*error)
			zero = !buffer[0] && !memcmp(buffer, buffer + 1, piece.length - 1);
	}
	return zero;
}

/* What lies where the mirror's own data goes? With --force whatever it likes. */
static bool check_tail(const struct action *a, unsigned part, uint64_t data_size)
{
	struct offline *o = (struct offline *)&a->o;
	uint64_t size = o->parts[part].target->size;
	struct range tail = {data_size, (size & ~(uint64_t)4095) - data_size};
	int error = 0;

	if (a->nodes.found[part].present && !a->nodes.found[part].blank) {
		if (action_given(a, OPTION_FORCE))
			return true;
		action_complain("%s is a node of a mirror already (generation %" PRIu64
				"); --force makes a new one, which knows nothing of the old one",
				action_name(a, part),
				a->nodes.found[part].super.generation.counter);
		return false;
	}
	if (action_given(a, OPTION_FORCE) || is_zero(o, part, tail, &error))
		return true;
	if (error)
		action_complain("%s can't be read: %s", action_name(a, part), strerror(error));
	else
		action_complain(
			"the last %" PRIu64 " bytes of %s are not empty, and would not be a part "
			"of the volume any more: the mirror keeps its own data there. Make its "
			"content smaller, or the node larger; or --force",
			size - data_size, action_name(a, part));
	return false;
}

static int note_difference(void *arg, struct range range, unsigned others)
{
	*(unsigned *)arg = others;
	return ECANCELED;
}

/* Are all nodes equal, as far as the volume will reach? Without being told, nothing is assumed. */
static bool judge_content(const struct action *a, uint64_t data_size, bool *equal)
{
	unsigned others = 0, failed = 0;
	int error;

	*equal = action_given(a, OPTION_EQUAL);
	if (action_given(a, OPTION_EQUAL | OPTION_FROM))
		return true;
	error = offline_compare((struct offline *)&a->o, (1u << a->o.count) - 1, 0, data_size,
				note_difference, &others, &failed);
	*equal = !error;
	if (!error)
		return true;
	if (error == ECANCELED)
		action_complain(
			"%s and %s hold different data; --from NODE tells whose is kept, the "
			"others' is overwritten when the volume is mounted",
			action_name(a, 0), action_name(a, (unsigned)__builtin_ctz(others)));
	else
		action_complain("%s can't be read: %s", action_name(a, failed), strerror(error));
	return false;
}

struct making {
	struct loop *loop;
	struct mirror_created created;
};

static void on_created(void *arg, const struct mirror_created *created)
{
	struct making *making = arg;

	making->created = *created;
	loop_stop(making->loop);
}

/* Makes a mirror of the parts, which go with it. */
static struct mirror_created make(struct action *a, unsigned source, bool equal)
{
	struct offline *o = &a->o;
	const struct mirror_options options = {.start_wait = 0};
	const struct mirror_setup setup = {
		.workers = &o->worker,
		.worker_count = 1,
		.policy = &o->policy,
		.volume = o->volume->name,
		.options = &options,
		.changed = mirror_node_changed,
	};
	const struct mirror_create_options create = {
		.source = o->parts[source].name, .equal = equal, .force = true};
	struct making making = {.loop = o->worker.loop, .created = {.error = -1}};
	struct target *mirror = mirror_new(&setup);

	if (!mirror)
		human_no_memory();
	for (unsigned i = 0; i < o->count; i++) {
		struct mirror_node *node = mirror_next_node(mirror, o->parts[i].name, false);

		o->parts[i].target->changed = mirror_node_changed;
		o->parts[i].target->changed_arg = node;
		mirror_join_node(node, o->parts[i].target);
		o->parts[i].target = NULL;
	}
	mirror_create(mirror, &create, on_created, &making);
	while (making.created.error < 0)
		loop_run(o->worker.loop);
	target_destroy(&mirror);
	return making.created;
}

static void say_created(const struct action *a, uint64_t data_size, unsigned source, bool equal)
{
	char text[HUMAN_NUMBER];

	printf("%s: a mirror of %u nodes, %s (%" PRIu64 " bytes)\n", a->o.volume->name, a->o.count,
	       human_size((int64_t)data_size, text), data_size);
	for (unsigned i = 0; i < a->o.count; i++)
		printf("  %s: %s; its last %" PRIu64 " bytes are the mirror's own\n",
		       action_name(a, i),
		       equal         ? "in sync"
		       : i == source ? "in sync, its data is kept"
				     : "gets that data when the volume is mounted",
		       a->nodes.sizes[i] - data_size);
}

enum exit_status action_create(struct action *a)
{
	uint64_t least = UINT64_MAX, data_size;
	struct mirror_created created;
	bool bad, equal;
	unsigned source = action_find_source(a, &bad);

	if (bad || !action_all_there(a))
		return EXIT_FAILED;
	for (unsigned i = 0; i < a->o.count; i++) {
		a->nodes.sizes[i] = a->o.parts[i].target->size;
		if (a->nodes.sizes[i] < least)
			least = a->nodes.sizes[i];
	}
	data_size = mirror_data_size(least);
	if (!data_size)
		return action_complain(
			"the smallest node has %" PRIu64 " bytes, too few for a mirror", least);
	for (unsigned i = 0; i < a->o.count; i++)
		if (!check_tail(a, i, data_size))
			return EXIT_FAILED;
	if (!judge_content(a, data_size, &equal))
		return EXIT_FAILED;
	if (source == a->o.count)
		source = 0;
	action_forget_witness(&a->o);
	created = make(a, source, equal);
	if (created.error)
		return action_complain("%s", created.reason);
	say_created(a, created.data_size, source, equal);
	return EXIT_OK;
}
