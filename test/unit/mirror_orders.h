/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_orders.h - commands that take a while, given to the fixture's mirror. */
#ifndef TEST_MIRROR_ORDERS_H
#define TEST_MIRROR_ORDERS_H

#include "dstfs/mirror_order.h"

#include "test/unit/mirror_fixture.h"

static char why[MIRROR_ORDER_TEXT]; /* it was refused, or how it ended */

/* Gives the command, whose arguments go over: its number, or 0 if it is refused. */
static inline json_int_t give(const char *command, json_t *request)
{
	json_t *answer =
		mirror_command(f.target, command, request, &(struct reason){why, sizeof(why)});
	json_int_t order = json_integer_value(json_object_get(answer, "order"));

	assert_int_equal(answer != NULL, order != 0);
	json_decref(answer);
	json_decref(request);
	return order;
}

/* "running", "done" or "failed"; then `why` says why. */
static inline const char *ended(json_int_t number)
{
	static char state[16];
	json_t *orders = mirror_orders_status(f.mirror), *order;
	size_t index;

	*state = '\0';
	json_array_foreach(orders, index, order)
	{
		if (json_integer_value(json_object_get(order, "order")) != number)
			continue;
		snprintf(state, sizeof(state), "%s",
			 json_string_value(json_object_get(order, "state")));
		snprintf(why, sizeof(why), "%s", json_string_value(json_object_get(order, "text")));
	}
	json_decref(orders);
	return state;
}

#endif
