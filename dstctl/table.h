/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.h - rows of text in aligned columns. No function fails: without memory the program ends. */
#ifndef DSTCTL_TABLE_H
#define DSTCTL_TABLE_H

#include <stdio.h>

#define TABLE_MAX_COLUMNS 20u

#define TABLE_RIGHT 0x1u /* numbers */
#define TABLE_QUIET 0x2u /* left out while every cell is "0" or "-" */

struct table;

struct table *table_new(void);
void table_free(struct table **table);

/* Adds a column; before the first cell. title stays the caller's, and valid. */
void table_column(struct table *table, const char *title, unsigned flags);

/* The next cell, row by row. Takes text over, which is clean (see human.h). */
void table_cell(struct table *table, char *text);

/* A line below the row that was filled last; takes text over. One a row. */
void table_note(struct table *table, char *text);

/* Prints an empty line and the table; nothing if it has no rows. The last row must be full. */
void table_print(const struct table *table, FILE *file);

#endif
