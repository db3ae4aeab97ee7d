/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_order.h - commands to a mirror that take a while: dstctl gives one, is told its number, and looks
 * in the status how it ends. All in the home's thread, save for the status.
 */
#ifndef DSTFS_MIRROR_ORDER_H
#define DSTFS_MIRROR_ORDER_H

#include "dstfs/mirror_impl.h"

#define MIRROR_ORDERS 16u /* that are remembered */
#define MIRROR_ORDER_TEXT 2048u

enum mirror_order_state { ORDER_FREE, ORDER_RUNNING, ORDER_DONE, ORDER_FAILED };

struct mirror_order {
	struct mirror *mirror;
	/* Like text guarded by the mirror's reason_lock. */
	enum mirror_order_state state;
	char text
		[MIRROR_ORDER_TEXT]; /* lines: why it failed, or what is to be said though it is done */
	uint64_t id; /* random */
	const char *command; /* its name; not copied */
	char node[MIRROR_NAME_MAX + 1]; /* that it is about; "": the mirror */

	/* The command's own, while it runs. */
	struct mirror_change change;
	void (*look)(struct mirror_order *order); /* at each turn of the home; NULL: not */
	void (*abandon)(struct mirror_order *order); /* the mirror ends: gives back what it holds */
	struct mirror_node *subject;
	unsigned slot; /* of the subject, where it matters */
	uint8_t id_of_member[DST_ID_SIZE]; /* mirror_admit.c: of the new one */
	bool fresh; /* likewise: the subject's place is new, and goes if it fails */
	bool force;
	uint64_t until; /* clock_now() when it has failed */
	void *arg;
};

struct mirror_orders *mirror_orders_new(struct mirror *mirror); /* NULL: out of memory */
/* The mirror ends: no look() any more; abandon() of what runs. */
void mirror_orders_abandon(struct mirror *mirror);
void mirror_orders_free(struct mirror_orders **orders);
void mirror_orders_look(struct mirror *mirror); /* the home's turn: all that run look */

/* Would one of `node` not have to wait for another? Else a reason. */
bool mirror_order_may_begin(struct mirror *mirror, const struct mirror_node *node,
			    const struct reason *reason);

/*
 * Begins one; `node`: that it is about, or NULL. NULL: another one is under way for that, or too many
 * are; reason tells. change.arg is the order.
 */
struct mirror_order *mirror_order_begin(struct mirror *mirror, const char *command,
					struct mirror_node *node, const struct reason *reason);
json_t *mirror_order_answer(const struct mirror_order *order); /* for the one who gave it */

/* It has ended, well or not. It is logged, and remembered until others need its place. */
void mirror_order_done(struct mirror_order *order, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void mirror_order_failed(struct mirror_order *order, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Of the status, an array: [{"order": 17, "command": "node-detach", "node": "b",
 * "state": "running" | "done" | "failed", "text": ""}]. Any thread. */
json_t *mirror_orders_status(struct mirror *mirror);

#endif
