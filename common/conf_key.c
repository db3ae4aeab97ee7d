/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_key.c - see conf_key.h. Finds, checks and applies keys; conf_value.c parses their values. */
#include "common/conf_key.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool same_name(const char *typed, const char *name)
{
	for (; *typed && (*typed == *name || (*typed == '-' && *name == '_')); typed++, name++)
		;
	return !*typed && !*name;
}

const struct conf_key *conf_find_key(const struct conf_key *const *tables, const char *name)
{
	for (; *tables; tables++)
		for (const struct conf_key *key = *tables; key->name; key++)
			if (same_name(name, key->name) ||
			    (key->alias && same_name(name, key->alias)))
				return key;
	return NULL;
}

static void nearer(const char *typed, const char *word, const char **best, int *best_distance)
{
	int distance = text_distance(typed, word);

	if (distance >= 0 && (*best_distance < 0 || distance < *best_distance)) {
		*best = word;
		*best_distance = distance;
	}
}

const char *conf_hint(const struct conf_key *const *tables, const char *name,
		      char hint[CONF_HINT_MAX])
{
	const char *best = NULL;
	int distance = -1;

	for (; *tables; tables++)
		for (const struct conf_key *key = *tables; key->name; key++)
			nearer(name, key->name, &best, &distance);
	*hint = '\0';
	if (best)
		snprintf(hint, CONF_HINT_MAX, "; did you mean %s?", best);
	return hint;
}

const char *conf_where(const struct conf_entry *entry, char text[CONF_WHERE_MAX])
{
	if (entry->file)
		snprintf(text, CONF_WHERE_MAX, "%s:%u: ", entry->file, entry->line);
	else
		snprintf(text, CONF_WHERE_MAX, "%s: ", entry->name);
	return text;
}

static const struct conf_kind *find_kind(const struct conf_kind *kinds, const char *name)
{
	for (; kinds->name; kinds++)
		if (!strcmp(kinds->name, name))
			return kinds;
	return NULL;
}

bool conf_name_fits(const char *name, size_t most)
{
	return *name && strlen(name) <= most && !strchr(name, '/') && text_is_clean(name) &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_kind(const struct conf_section *section, const struct conf_kind *kinds,
		      const struct reason *reason)
{
	const struct conf_kind *kind = find_kind(kinds, section->kind);
	const char *best = NULL, *name = section->name;
	int distance = -1;

	if (!kind) {
		for (; kinds->name; kinds++)
			nearer(section->kind, kinds->name, &best, &distance);
		return text_refuse(reason, "%s:%u: no section is called [%.80s]%s%s%s",
				   section->file, section->line, section->kind,
				   best ? "; did you mean [" : "", best ? best : "",
				   best ? "]?" : "");
	}
	if (kind->named != !!name)
		return text_refuse(reason, "%s:%u: [%s] %s; write [%s%s]", section->file,
				   section->line, kind->name,
				   name ? "takes no name" : "needs a name", kind->name,
				   name ? "" : " NAME");
	if (name && !conf_name_fits(name, kind->name_most))
		return text_refuse(
			reason,
			"%s:%u: \"%.80s\" can't be a name; a name has up to %zu bytes, no "
			"'/' and no tab, and isn't \".\" or \"..\"",
			section->file, section->line, name, kind->name_most);
	return 0;
}

static bool same_section(const struct conf_section *a, const struct conf_section *b)
{
	return !strcmp(a->kind, b->kind) && (!a->name || !strcmp(a->name, b->name));
}

static int check_entry(const struct conf_section *section, struct conf_entry *entry,
		       const struct conf_kind *kind, const struct reason *reason)
{
	char hint[CONF_HINT_MAX], cause[CONF_REASON_MAX];
	struct conf_value value = {.text = entry->value,
				   .file = entry->file,
				   .reason = &(struct reason){cause, sizeof(cause)}};

	entry->key = conf_find_key(kind->tables, entry->name);
	if (!entry->key || (entry->key->flags & CONF_NO_FILE))
		return text_refuse(reason, "%s:%u: [%s] has no key %s%s", entry->file, entry->line,
				   kind->name, entry->name,
				   conf_hint(kind->tables, entry->name, hint));
	for (const struct conf_entry *e = section->entries; e != entry; e = e->next)
		if (e->key == entry->key && !(e->key->flags & CONF_REPEAT))
			return text_refuse(reason,
					   "%s:%u: %s was given already in line %u; give it once",
					   entry->file, entry->line, entry->name, e->line);
	value.key = entry->key;
	if (entry->key->parse(&value, NULL))
		return text_refuse(reason, "%s:%u: %s: %s", entry->file, entry->line, entry->name,
				   cause);
	return 0;
}

int conf_check(struct conf *conf, const struct conf_kind *kinds, const struct reason *reason)
{
	int error;

	for (struct conf_section *s = conf->sections; s; s = s->next) {
		error = check_kind(s, kinds, reason);
		if (error)
			return error;
		for (const struct conf_section *o = conf->sections; o != s; o = o->next)
			if (same_section(o, s))
				return text_refuse(
					reason,
					"%s:%u: [%s%s%s] stands already at %s:%u; give it once",
					s->file, s->line, s->kind, s->name ? " " : "",
					s->name ? s->name : "", o->file, o->line);
		for (struct conf_entry *e = s->entries; e; e = e->next) {
			error = check_entry(s, e, find_kind(kinds, s->kind), reason);
			if (error)
				return error;
		}
	}
	return 0;
}

static const struct conf_slot *find_slot(const struct conf_slot *slots, const char *name)
{
	for (; slots->name; slots++)
		if (!strcmp(slots->name, name))
			return slots;
	return NULL;
}

static int parse_into(const struct conf_slot *slot, const struct conf_value *value, void *object)
{
	conf_parser *parse = slot->parse ? slot->parse : value->key->parse;

	return parse(value, (char *)object + slot->offset);
}

void conf_defaults(const struct conf_key *const *tables, const struct conf_slot *slots,
		   void *object)
{
	char reason[CONF_REASON_MAX];
	struct conf_value value = {.reason = &(struct reason){reason, sizeof(reason)}};
	int error;

	for (; slots->name; slots++) {
		value.key = conf_find_key(tables, slots->name);
		assert(value.key);
		value.text = value.key->standard;
		error = value.text ? parse_into(slots, &value, object) : 0;
		assert(!error);
	}
}

int conf_apply(const struct conf_section *section, const struct conf_slot *slots, void *object,
	       const struct reason *reason)
{
	char cause[CONF_REASON_MAX], where[CONF_WHERE_MAX];
	struct conf_value value = {.reason = &(struct reason){cause, sizeof(cause)}};
	const struct conf_slot *slot;
	int error;

	for (const struct conf_entry *e = section->entries; e; e = e->next) {
		slot = find_slot(slots, e->key->name);
		if (!slot)
			continue;
		value.text = e->value;
		value.file = e->file;
		value.folder = section->folder;
		value.key = e->key;
		error = parse_into(slot, &value, object);
		if (!error)
			continue;
		text_refuse(reason, "%s%s%s%s", conf_where(e, where), e->file ? e->name : "",
			    e->file ? ": " : "", cause);
		return error;
	}
	return 0;
}
