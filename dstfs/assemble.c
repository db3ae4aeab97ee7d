/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * assemble.c - see assemble.h. The one place that names concrete targets.
 *
 * Files are opened first, all of them: that may fail, and can be undone. Remote nodes begin to run at
 * once, on workers that may be running, which can't be undone; only want of memory can stop it then.
 */
#include "dstfs/assemble.h"

#include "dstfs/linear.h"
#include "dstfs/local.h"
#include "dstfs/mirror.h"
#include "dstfs/remote.h"
#include "dstfs/stripe.h"
#include "dstfs/witness.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct target *(*const map_makers[])(const struct map_setup *setup) = {
	[MAP_LINEAR] = linear_new,
	[MAP_STRIPE] = stripe_new,
};

struct builder {
	const struct assembly *a;
	struct target
		*files[MAP_MAX_NODES]; /* opened, by the node's place; NULL: none, or in use */
};

static struct target *build(struct builder *b, const struct map_config *tree,
			    void (*changed)(void *arg), void *changed_arg);

static unsigned place_of(const struct builder *b, const struct node_config *node)
{
	unsigned place = 0;

	for (const struct node_config *n = b->a->config->nodes; n != node; n = n->next)
		place++;
	return place;
}

static void nobody_to_tell(void *arg)
{
}

/* Those of the tree and of its siblings behind it. False: the cause is in reason. */
static bool open_files(struct builder *b, const struct map_config *tree)
{
	const struct assembly *a = b->a;
	struct target *file;

	for (; tree; tree = tree->next) {
		if (!open_files(b, tree->children))
			return false;
		if (tree->kind != MAP_NODE || tree->node->uri.kind != URI_FILE)
			continue;
		file = local_new(&tree->node->uri, a->workers, a->worker_count, a->policy,
				 nobody_to_tell, NULL, a->reason, a->reason_size);
		if (!file)
			return false;
		b->files[place_of(b, tree->node)] = file;
	}
	return true;
}

static void close_files(struct builder *b)
{
	for (unsigned i = 0; i < MAP_MAX_NODES; i++)
		target_destroy(&b->files[i]);
}

static struct target *out_of_memory(const struct builder *b)
{
	snprintf(b->a->reason, b->a->reason_size, "out of memory");
	return NULL;
}

static struct target *build_node(struct builder *b, const struct node_config *node,
				 void (*changed)(void *arg), void *changed_arg)
{
	const struct assembly *a = b->a;
	struct target *target;
	unsigned place;

	if (node->uri.kind == URI_FILE) {
		place = place_of(b, node);
		target = b->files[place];
		b->files[place] = NULL;
		target->changed = changed; /* tells from this thread, later */
		target->changed_arg = changed_arg;
		return target;
	}
	target = remote_new(&node->uri, a->workers, a->worker_count, a->policy, a->client, changed,
			    changed_arg);
	return target ? target : out_of_memory(b);
}

/* "a", "stripe(b,c)" */
void assemble_name(const struct map_config *tree, char *text, size_t size)
{
	size_t used;

	if (tree->kind == MAP_NODE) {
		snprintf(text, size, "%s", tree->node->name);
		return;
	}
	snprintf(text, size, "%s(", map_kind_name(tree->kind));
	for (const struct map_config *child = tree->children; child; child = child->next) {
		used = strlen(text);
		assemble_name(child, text + used, size - used);
		used = strlen(text);
		snprintf(text + used, size - used, child->next ? "," : ")");
	}
}

/* Builds the child and puts it into the map. False: the cause is in reason. */
static bool build_child(struct builder *b, const struct map_config *tree, struct target *map)
{
	char name[MAP_NAME_MAX + 1];
	struct map_child *place;
	struct target *child;

	assemble_name(tree, name, sizeof(name));
	place = map_next_child(map, name);
	if (!place) {
		snprintf(b->a->reason, b->a->reason_size, "%s is one too many", name);
		return false;
	}
	child = build(b, tree, map_child_changed, place);
	if (child)
		map_join(place, child);
	return child;
}

static struct target *build_map(struct builder *b, const struct map_config *tree,
				void (*changed)(void *arg), void *changed_arg)
{
	const struct assembly *a = b->a;
	const struct map_setup setup = {
		.workers = a->workers,
		.worker_count = a->worker_count,
		.policy = a->policy,
		.volume = a->config->name,
		/* Only the outermost one may get more. */
		.capacity = tree == a->config->tree ? MAP_MAX_NODES : tree->count,
		.height = tree->height,
		.chunk = tree->kind == MAP_STRIPE ? a->config->chunk : 0,
		.changed = changed,
		.changed_arg = changed_arg,
	};
	struct target *map = map_makers[tree->kind](&setup);

	if (!map)
		return out_of_memory(b);
	for (const struct map_config *child = tree->children; child; child = child->next)
		if (!build_child(b, child, map))
			return NULL;
	map_start(map);
	return map;
}

_Static_assert(MAP_MAX_MIRRORED == MIRROR_MAX_NODES, "who counts the nodes of a mirror");

static bool all_files(const struct map_config *tree)
{
	if (tree->kind == MAP_NODE)
		return tree->node->uri.kind == URI_FILE;
	for (const struct map_config *child = tree->children; child; child = child->next)
		if (!all_files(child))
			return false;
	return true;
}

/* The first of its nodes: with the volume's name it tells one mirror from another. */
static const struct node_config *first_node(const struct map_config *tree)
{
	while (tree->kind != MAP_NODE) {
		tree = tree->children;
		assert(tree); /* a map has some */
	}
	return tree->node;
}

struct mirror_witness_store *assemble_witness(const struct volume_config *config,
					      const struct map_config *tree, struct loop *loop)
{
	char uri[URI_TEXT_MAX];

	return witness_open(config->name, uri_print(&first_node(tree)->uri, uri), loop);
}

static struct target *new_mirror(struct builder *b, const struct map_config *tree,
				 void (*changed)(void *arg), void *changed_arg)
{
	const struct volume_options *o = &b->a->config->options;
	struct mirror_options options = {
		.start = {.majority = o->quorum == QUORUM_MAJORITY, .min_nodes = o->min_nodes},
		.start_wait = o->start_wait,
	};
	struct mirror_setup setup = {
		.workers = b->a->workers,
		.worker_count = b->a->worker_count,
		.policy = b->a->policy,
		.volume = b->a->config->name,
		.options = &options,
		.changed = changed,
		.changed_arg = changed_arg,
	};
	struct target *mirror;

	for (const struct map_config *child = tree->children; child; child = child->next)
		if (b->a->config->prefer && map_config_has_node(child, b->a->config->prefer))
			assemble_name(child, options.prefer, sizeof(options.prefer));
	setup.witness = assemble_witness(b->a->config, tree, b->a->workers->loop);
	mirror = setup.witness ? mirror_new(&setup) : NULL;
	if (setup.witness && !mirror)
		setup.witness->ops->close(setup.witness);
	return mirror;
}

/* Builds the child and puts it into the mirror. False: the cause is in reason. */
static bool build_mirrored(struct builder *b, const struct map_config *child, struct target *mirror)
{
	char name[MIRROR_NAME_MAX + 1];
	struct mirror_node *node;
	struct target *target;

	assemble_name(child, name, sizeof(name));
	node = mirror_next_node(mirror, name, all_files(child));
	target = node ? build(b, child, mirror_node_changed, node) : out_of_memory(b);
	if (target)
		mirror_join_node(node, target);
	return target;
}

static struct target *build_mirror(struct builder *b, const struct map_config *tree,
				   void (*changed)(void *arg), void *changed_arg)
{
	struct target *mirror = new_mirror(b, tree, changed, changed_arg);

	if (!mirror)
		return out_of_memory(b);
	for (const struct map_config *child = tree->children; child; child = child->next)
		if (!build_mirrored(b, child, mirror))
			return NULL;
	mirror_start(mirror);
	return mirror;
}

/* Any part of the tree. */
static struct target *build(struct builder *b, const struct map_config *tree,
			    void (*changed)(void *arg), void *changed_arg)
{
	if (tree->kind == MAP_NODE)
		return build_node(b, tree->node, changed, changed_arg);
	if (tree->kind == MAP_MIRROR)
		return build_mirror(b, tree, changed, changed_arg);
	return build_map(b, tree, changed, changed_arg);
}

/* Without its siblings. */
static struct map_config alone_of(const struct map_config *part)
{
	return (struct map_config){.kind = part->kind,
				   .node = part->node,
				   .children = part->children,
				   .count = part->count,
				   .height = part->height};
}

struct target *assemble_part(const struct assembly *a, const struct map_config *part,
			     void (*changed)(void *arg), void *changed_arg)
{
	const struct map_config alone = alone_of(part);
	struct builder b = {.a = a};
	struct target *target = NULL;

	if (open_files(&b, &alone))
		target = build(&b, part, changed, changed_arg);
	close_files(&b); /* those of a tree that wasn't built */
	return target;
}

struct target *assemble(const struct assembly *a, void (*changed)(void *arg), void *changed_arg)
{
	return assemble_part(a, a->config->tree, changed, changed_arg);
}

int assemble_mirror_node(const struct assembly *a, struct target *mirror,
			 const struct map_config *child)
{
	const struct map_config alone = alone_of(child);
	struct builder b = {.a = a};
	bool good = open_files(&b, &alone) && build_mirrored(&b, child, mirror);

	close_files(&b);
	return good ? 0 : EIO;
}

int assemble_more(const struct assembly *a, struct target *map)
{
	const struct map_config *child = a->config->tree->children;
	struct builder b = {.a = a};
	bool good;

	assert(a->config->tree->kind == MAP_LINEAR);
	for (unsigned there = map_count(map); there; there--)
		child = child->next;
	good = open_files(&b, child);
	for (; child && good; child = child->next)
		good = build_child(&b, child, map);
	close_files(&b);
	return good ? 0 : EIO;
}
