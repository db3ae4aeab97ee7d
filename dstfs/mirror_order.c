/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_order.c - see mirror_order.h */
#include "dstfs/mirror_order.h"

#include "common/log.h"
#include "common/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mirror_orders {
	unsigned next; /* where a place is looked for: the oldest is forgotten first */
	struct mirror_order all[MIRROR_ORDERS];
};

struct mirror_orders *mirror_orders_new(struct mirror *mirror)
{
	struct mirror_orders *orders = calloc(1, sizeof(*orders));

	for (unsigned i = 0; orders && i < MIRROR_ORDERS; i++)
		orders->all[i].mirror = mirror;
	return orders;
}

void mirror_orders_free(struct mirror_orders **orders)
{
	free(*orders);
	*orders = NULL;
}

void mirror_orders_abandon(struct mirror *mirror)
{
	for (unsigned i = 0; mirror->orders && i < MIRROR_ORDERS; i++) {
		struct mirror_order *order = &mirror->orders->all[i];

		order->look = NULL;
		if (order->state == ORDER_RUNNING && order->abandon)
			order->abandon(order);
	}
}

void mirror_orders_look(struct mirror *mirror)
{
	for (unsigned i = 0; i < MIRROR_ORDERS; i++) {
		struct mirror_order *order = &mirror->orders->all[i];

		if (order->state == ORDER_RUNNING && order->look)
			order->look(order);
	}
}

/* ---- begin ---- */

static struct mirror_order *find_place(struct mirror_orders *orders)
{
	for (unsigned i = 0; i < MIRROR_ORDERS; i++) {
		struct mirror_order *order = &orders->all[(orders->next + i) % MIRROR_ORDERS];

		if (order->state == ORDER_RUNNING)
			continue;
		orders->next = (orders->next + i + 1) % MIRROR_ORDERS;
		return order;
	}
	return NULL;
}

static const struct mirror_order *find_running(const struct mirror_orders *orders,
					       const struct mirror_node *node)
{
	for (unsigned i = 0; i < MIRROR_ORDERS; i++)
		if (orders->all[i].state == ORDER_RUNNING && orders->all[i].subject == node)
			return &orders->all[i];
	return NULL;
}

static uint64_t new_id(void)
{
	uint64_t id;

	random_bytes(&id, sizeof(id));
	return (id >> 12) + 1; /* a number that every reader of JSON can hold */
}

bool mirror_order_may_begin(struct mirror *mirror, const struct mirror_node *node,
			    const struct reason *reason)
{
	const struct mirror_order *running = find_running(mirror->orders, node);

	if (running)
		text_refuse(reason, "%s%s%s is still under way; see dstctl status",
			    running->command, node ? " of " : "", node ? node->name : "");
	return !running;
}

struct mirror_order *mirror_order_begin(struct mirror *mirror, const char *command,
					struct mirror_node *node, const struct reason *reason)
{
	struct mirror_order *order;

	if (!mirror_order_may_begin(mirror, node, reason))
		return NULL;
	order = find_place(mirror->orders);
	if (!order) {
		text_refuse(reason, "too much else is still under way; see dstctl status");
		return NULL;
	}
	pthread_mutex_lock(&mirror->reason_lock);
	*order = (struct mirror_order){.mirror = mirror,
				       .state = ORDER_RUNNING,
				       .id = new_id(),
				       .command = command,
				       .subject = node};
	snprintf(order->node, sizeof(order->node), "%s", node ? node->name : "");
	pthread_mutex_unlock(&mirror->reason_lock);
	order->change.arg = order;
	log_info("volume %s: %s%s%s, by command", mirror->volume, command, node ? " " : "",
		 order->node);
	return order;
}

json_t *mirror_order_answer(const struct mirror_order *order)
{
	return json_pack("{s:I}", "order", (json_int_t)order->id);
}

/* ---- the end ---- */

__attribute__((format(printf, 3, 0))) static void
end(struct mirror_order *order, enum mirror_order_state state, const char *format, va_list args)
{
	struct mirror *mirror = order->mirror;
	char line[MIRROR_ORDER_TEXT];

	pthread_mutex_lock(&mirror->reason_lock);
	order->state = state;
	vsnprintf(order->text, sizeof(order->text), format, args);
	pthread_mutex_unlock(&mirror->reason_lock);
	order->look = NULL;
	order->abandon = NULL;
	order->subject = NULL;
	mirror_one_line(order->text, line, sizeof(line));
	log_write(state == ORDER_FAILED ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
		  "volume %s: %s%s%s: %s%s%s", mirror->volume, order->command,
		  *order->node ? " " : "", order->node, state == ORDER_FAILED ? "failed" : "done",
		  *line ? ": " : "", line);
}

void mirror_order_done(struct mirror_order *order, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end(order, ORDER_DONE, format, args);
	va_end(args);
}

void mirror_order_failed(struct mirror_order *order, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end(order, ORDER_FAILED, format, args);
	va_end(args);
}

/* ---- status ---- */

json_t *mirror_orders_status(struct mirror *mirror)
{
	static const char *const states[] = {
		[ORDER_RUNNING] = "running", [ORDER_DONE] = "done", [ORDER_FAILED] = "failed"};
	json_t *list = json_array();

	pthread_mutex_lock(&mirror->reason_lock);
	for (unsigned i = 0; i < MIRROR_ORDERS; i++) {
		const struct mirror_order *order = &mirror->orders->all[i];

		if (order->state != ORDER_FREE)
			json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:s}", "order",
							      (json_int_t)order->id, "command",
							      order->command, "node", order->node,
							      "state", states[order->state], "text",
							      order->text));
	}
	pthread_mutex_unlock(&mirror->reason_lock);
	return list;
}
