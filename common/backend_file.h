/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backend_file.h - storage in a regular file or a block device. */
#ifndef COMMON_BACKEND_FILE_H
#define COMMON_BACKEND_FILE_H

#include "common/backend.h"

#include <stddef.h>

struct backend_file_options {
	const char *path;
	uint64_t size_limit; /* bytes of it to use; 0: all */
	bool read_only;
	unsigned threads; /* for what may block; 0: the default of 8 */
};

/*
 * Opens and, unless read-only, locks it against a second writer (flock; O_EXCL for devices). NULL
 * on failure, with a one-line cause for people in reason.
 */
struct backend *backend_file_open(const struct backend_file_options *options, char *reason,
				  size_t reason_size);

#endif
