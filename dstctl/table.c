/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.c - see table.h */
#include "dstctl/table.h"

#include "dstctl/human.h"

#include "dstctl/human.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define INDENT "  "
#define NOTE_INDENT "      "

struct row {
	char *cells[TABLE_MAX_COLUMNS];
	char *note; /* NULL: none */
};

struct table {
	const char *titles[TABLE_MAX_COLUMNS];
	unsigned flags[TABLE_MAX_COLUMNS];
	unsigned columns;
	struct row *rows;
	size_t count, room; /* rows that are there, rows that fit */
	unsigned filled; /* cells of the last row */
};

struct table *table_new(void)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		human_no_memory();
	return table;
}

void table_free(struct table **pointer)
{
	struct table *table = *pointer;

	*pointer = NULL;
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++) {
		for (unsigned k = 0; k < table->columns; k++)
			free(table->rows[i].cells[k]);
		free(table->rows[i].note);
	}
	free(table->rows);
	free(table);
}

void table_column(struct table *table, const char *title, unsigned flags)
{
	assert(table->columns < TABLE_MAX_COLUMNS && !table->count);
	table->titles[table->columns] = title;
	table->flags[table->columns++] = flags;
}

static void begin_row(struct table *table)
{
	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 16;
		table->rows = reallocarray(table->rows, table->room, sizeof(*table->rows));
		if (!table->rows)
			human_no_memory();
	}
	memset(&table->rows[table->count++], 0, sizeof(*table->rows));
	table->filled = 0;
}

void table_cell(struct table *table, char *text)
{
	assert(table->columns);
	if (!table->count || table->filled == table->columns)
		begin_row(table);
	table->rows[table->count - 1].cells[table->filled++] = text;
}

void table_note(struct table *table, char *text)
{
	assert(table->count && !table->rows[table->count - 1].note);
	table->rows[table->count - 1].note = text;
}

/* The column's width; 0: it is left out. */
static size_t column_width(const struct table *table, unsigned column)
{
	size_t width = human_width(table->titles[column]);
	bool quiet = table->flags[column] & TABLE_QUIET;

	for (size_t i = 0; i < table->count; i++) {
		const char *cell = table->rows[i].cells[column];
		size_t cell_width = human_width(cell);

		if (cell_width > width)
			width = cell_width;
		quiet = quiet && (!strcmp(cell, "0") || !strcmp(cell, "-"));
	}
	return quiet ? 0 : width;
}

/* One line; no blanks follow its last cell. */
static void print_line(const struct table *table, FILE *file, const char *const *cells,
		       const size_t *widths)
{
	int gap = 0; /* blanks that the cell before still needs */

	for (unsigned i = 0; i < table->columns; i++) {
		int room;

		if (!widths[i])
			continue;
		room = (int)(widths[i] - human_width(cells[i]));
		if (table->flags[i] & TABLE_RIGHT) {
			fprintf(file, "%*s" INDENT "%*s%s", gap, "", room, "", cells[i]);
			gap = 0;
		} else {
			fprintf(file, "%*s" INDENT "%s", gap, "", cells[i]);
			gap = room;
		}
	}
	fputc('\n', file);
}

void table_print(const struct table *table, FILE *file)
{
	size_t widths[TABLE_MAX_COLUMNS];

	if (!table->count)
		return;
	assert(table->filled == table->columns);
	for (unsigned i = 0; i < table->columns; i++)
		widths[i] = column_width(table, i);
	fputc('\n', file);
	print_line(table, file, table->titles, widths);
	for (size_t i = 0; i < table->count; i++) {
		const struct row *row = &table->rows[i];

		print_line(table, file, (const char *const *)row->cells, widths);
		if (row->note)
			human_lines(file, NOTE_INDENT, row->note);
	}
}
