/* SPDX-License-Identifier: GPL-2.0-or-later */
/* system.h - what of the system the real code's calls are renamed to; see system.c and the Makefile. */
#ifndef TEST_SIM_SYSTEM_H
#define TEST_SIM_SYSTEM_H

#include "test/sim/sim.h"

#include <pthread.h>

int system_thread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg),
			 void *arg);
int system_thread_join(pthread_t thread, void **result);
int system_thread_setname(pthread_t thread, const char *name);
int system_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
			  const struct timespec *until);
int system_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);

void system_process_gone(enum sim_host host); /* its threads went with it */

#endif
