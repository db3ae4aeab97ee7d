/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map_config.c - see map_config.h */
#include "dstfs/map_config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_CHARACTERS                                                                            \
	"abcdefghijklmnopqrstuvwxyz"                                                               \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                                               \
	"0123456789_-"
#define BLANKS " \t"

/* What a map is called, and how many children it needs and may have. */
static const struct {
	const char *name;
	unsigned least, most;
} kinds[] = {
	[MAP_NODE] = {"node", 0, 0},
	[MAP_LINEAR] = {"linear", 1, MAP_MAX_NODES},
	[MAP_STRIPE] = {"stripe", 2, MAP_MAX_NODES},
	[MAP_MIRROR] = {"mirror", 2, MAP_MAX_MIRRORED},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define KIND_NAMES "linear, stripe or mirror"

struct parser {
	const char *at; /* what isn't parsed yet */
	const struct node_config *nodes;
	bool used[MAP_MAX_NODES]; /* by the node's place among them */
	unsigned nesting;
	const struct reason *reason;
};

/* A word of the expression: not ended by NUL. */
struct word {
	const char *text;
	int length;
};

const char *map_kind_name(enum map_kind kind)
{
	return kinds[kind].name;
}

static bool is_word(struct word word, const char *text)
{
	return strlen(text) == (size_t)word.length && !memcmp(word.text, text, strlen(text));
}

bool map_config_has(const struct map_config *tree, enum map_kind kind)
{
	if (tree->kind == kind)
		return true;
	for (const struct map_config *child = tree->children; child; child = child->next)
		if (map_config_has(child, kind))
			return true;
	return false;
}

bool map_config_has_node(const struct map_config *tree, const struct node_config *node)
{
	if (tree->kind == MAP_NODE)
		return tree->node == node;
	for (const struct map_config *child = tree->children; child; child = child->next)
		if (map_config_has_node(child, node))
			return true;
	return false;
}

/* MAP_NODE: it names no map. */
static enum map_kind find_kind(struct word word)
{
	for (enum map_kind kind = MAP_LINEAR; kind < KINDS; kind++)
		if (is_word(word, kinds[kind].name))
			return kind;
	return MAP_NODE;
}

bool map_config_is_map(const char *name)
{
	return find_kind((struct word){name, (int)strlen(name)}) != MAP_NODE;
}

static char next_character(struct parser *p)
{
	p->at += strspn(p->at, BLANKS);
	return *p->at;
}

static struct word next_word(struct parser *p)
{
	struct word word;

	next_character(p);
	word = (struct word){p->at, (int)strspn(p->at, NAME_CHARACTERS)};
	p->at += word.length;
	return word;
}

static struct map_config *new_config(struct parser *p, enum map_kind kind)
{
	struct map_config *config = calloc(1, sizeof(*config));

	if (config)
		config->kind = kind;
	else
		text_refuse(p->reason, "out of memory");
	return config;
}

static int parse_leaf(struct parser *p, struct word word, struct map_config **out)
{
	unsigned index = 0;

	for (const struct node_config *node = p->nodes; node; node = node->next, index++) {
		if (!is_word(word, node->name))
			continue;
		if (p->used[index])
			return text_refuse(p->reason, "node %s stands in it twice; use it once",
					   node->name);
		p->used[index] = true;
		*out = new_config(p, MAP_NODE);
		if (!*out)
			return ENOMEM;
		(*out)->node = node;
		return 0;
	}
	if (find_kind(word) != MAP_NODE)
		return text_refuse(p->reason, "%.*s has no nodes; write %.*s(NODE, ...)",
				   word.length, word.text, word.length, word.text);
	return text_refuse(p->reason, "there is no node %.*s; add node = %.*s URI",
			   word.length < 80 ? word.length : 80, word.text,
			   word.length < 80 ? word.length : 80, word.text);
}

static int check_map(const struct parser *p, const struct map_config *map)
{
	if (map->count < kinds[map->kind].least)
		return text_refuse(p->reason, "a %s of %u is none; give it %u or more",
				   kinds[map->kind].name, map->count, kinds[map->kind].least);
	if (map->count > kinds[map->kind].most)
		return text_refuse(p->reason, "a %s of %u is too wide; give it %u at most",
				   kinds[map->kind].name, map->count, kinds[map->kind].most);
	return 0;
}

static void add_child(struct map_config *map, struct map_config ***end, struct map_config *child)
{
	**end = child;
	*end = &child->next;
	map->count++;
	if (child->height >= map->height)
		map->height = child->height + 1;
}

static int parse_expression(struct parser *p, struct map_config **out);

/* Behind a map's '('. What was parsed is in the map, whatever comes of it. */
static int parse_children(struct parser *p, struct map_config *map)
{
	struct map_config **end = &map->children;

	for (;;) {
		struct map_config *child = NULL;
		int error = parse_expression(p, &child);
		char next;

		if (child)
			add_child(map, &end, child);
		if (error)
			return error;
		next = next_character(p);
		if (!next)
			return text_refuse(p->reason, "a parenthesis stays open; add \")\"");
		if (next != ',' && next != ')')
			return text_refuse(p->reason,
					   "\"%.20s\" can't stand there; write \",\" or \")\"",
					   p->at);
		p->at++;
		if (next == ')')
			return check_map(p, map);
	}
}

static int parse_expression(struct parser *p, struct map_config **out)
{
	struct word word = next_word(p);
	enum map_kind kind = find_kind(word);
	int error;

	if (!word.length)
		return text_refuse(p->reason,
				   "a node or a map is missing %s%.20s; write a name, or MAP(...)",
				   *p->at ? "before " : "at the end", p->at);
	if (next_character(p) != '(')
		return parse_leaf(p, word, out);
	if (kind == MAP_NODE)
		return text_refuse(p->reason, "there is no map %.*s; write " KIND_NAMES,
				   word.length < 80 ? word.length : 80, word.text);
	if (p->nesting == MAP_MAX_NESTING)
		return text_refuse(p->reason,
				   "maps stand inside each other too deep; at most %u fit",
				   MAP_MAX_NESTING);
	p->at++;
	*out = new_config(p, kind);
	if (!*out)
		return ENOMEM;
	p->nesting++;
	error = parse_children(p, *out);
	p->nesting--;
	return error;
}

/* "linear": over all nodes, in their order. */
static int parse_short(struct parser *p, enum map_kind kind, struct map_config **out)
{
	struct map_config **end;

	*out = new_config(p, kind);
	if (!*out)
		return ENOMEM;
	end = &(*out)->children;
	for (const struct node_config *node = p->nodes; node; node = node->next) {
		struct map_config *leaf = new_config(p, MAP_NODE);

		if (!leaf)
			return ENOMEM;
		leaf->node = node;
		add_child(*out, &end, leaf);
	}
	return check_map(p, *out);
}

static int check_end(struct parser *p)
{
	unsigned index = 0;

	if (next_character(p))
		return text_refuse(p->reason, "\"%.20s\" is too much; end it before that", p->at);
	for (const struct node_config *node = p->nodes; node; node = node->next, index++)
		if (!p->used[index])
			return text_refuse(p->reason,
					   "node %s is not used; put it into the map, or take the "
					   "node away",
					   node->name);
	return 0;
}

int map_config_parse(struct map_config **tree, const char *text, const struct node_config *nodes,
		     const struct reason *reason)
{
	struct parser p = {.at = text ? text : nodes->name, .nodes = nodes, .reason = reason};
	int error;

	*tree = NULL;
	if (map_config_is_map(p.at)) {
		error = parse_short(&p, find_kind(next_word(&p)), tree);
	} else {
		error = parse_expression(&p, tree);
		if (!error)
			error = check_end(&p);
	}
	if (error)
		map_config_free(tree);
	return error;
}

void map_config_free(struct map_config **tree)
{
	struct map_config *config = *tree, *child;

	*tree = NULL;
	if (!config)
		return;
	while ((child = config->children)) {
		config->children = child->next;
		map_config_free(&child);
	}
	free(config);
}

/* ---- as text: no URI and no name has a line's end in it, so the lines tell all ---- */

static void print_config(FILE *out, const struct map_config *config, uint64_t chunk)
{
	char text[URI_TEXT_MAX];

	if (config->kind == MAP_NODE) {
		fprintf(out, "%s %s\n", config->node->name, uri_print(&config->node->uri, text));
		return;
	}
	fprintf(out, "%s", kinds[config->kind].name);
	if (config->kind == MAP_STRIPE)
		fprintf(out, " %llu", (unsigned long long)chunk);
	fputs(" (\n", out);
	for (const struct map_config *child = config->children; child; child = child->next)
		print_config(out, child, chunk);
	fputs(")\n", out);
}

char *map_config_text(const struct map_config *tree, uint64_t chunk)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	print_config(out, tree, chunk);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

bool map_config_extends(const char *before, const char *now)
{
	static const char head[] = "linear (\n", tail[] = ")\n";
	size_t kept = strlen(before) - strlen(tail);

	return !strncmp(before, head, strlen(head)) && strlen(now) > strlen(before) &&
	       !strncmp(before, now, kept);
}
