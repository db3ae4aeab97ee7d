/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_start.c - mirror_start.h: every situation in which a mirror may be asked to start.
 *
 * A node is written as LINEAGE:STATES, with a letter for each generation from the first on and one for
 * the state of each member in the last of them:
 *
 *     I in sync   A absent   D detached   S suspended   F absent, full   X inconsistent   Y inconsistent, full   . free
 *
 * "abc:IA" comes after "ab:II", and "abd:AI" moved on without it. In front there may be '*' (clean),
 * '~' (its own slot's id is another one), '%' (of another mirror), a digit (its slot, else its place).
 * "" isn't there, "0" is blank. A witness is written likewise.
 */
#include "dstfs/mirror_start.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NODES 4u

static void fill_id(uint8_t id[DST_ID_SIZE], int byte)
{
	memset(id, byte, DST_ID_SIZE);
}

static const struct {
	char letter;
	enum mirror_member_state state;
	bool detached, full, suspended;
} member_letters[] = {
	{'I', MIRROR_IN_SYNC, false, false, false},
	{'A', MIRROR_ABSENT, false, false, false},
	{'D', MIRROR_ABSENT, true, false, false},
	{'F', MIRROR_ABSENT, false, true, false},
	{'X', MIRROR_INCONSISTENT, false, false, false},
	{'Y', MIRROR_INCONSISTENT, false, true, false},
	{'S', MIRROR_ABSENT, false, false, true},
	{'.', MIRROR_FREE, false, false, false},
};

static void set_member(struct mirror_member *member, char letter, unsigned slot)
{
	unsigned i = 0;

	while (member_letters[i].letter != letter)
		i++;
	member->state = member_letters[i].state;
	member->detached = member_letters[i].detached;
	member->full = member_letters[i].full;
	member->suspended = member_letters[i].suspended;
	if (member->state != MIRROR_FREE)
		fill_id(member->id, 0x10 + (int)slot);
}

static void parse_node(struct mirror_found *found, unsigned place, const char *text)
{
	static const char *const names[NODES] = {"a", "b", "c", "d"};
	struct mirror_super *super = &found->super;
	const char *states = strchr(text, ':');

	*found = (struct mirror_found){
		.name = names[place], .present = *text, .blank = !strcmp(text, "0")};
	if (!states)
		return;
	super->self = place;
	fill_id(super->set, 0x55);
	for (unsigned slot = 0; states[1 + slot]; slot++)
		set_member(&super->members[slot], states[1 + slot], slot);
	for (; !islower(*text); text++) {
		if (*text == '*')
			super->clean = true;
		if (*text == '%')
			fill_id(super->set, 0x66);
		if (isdigit(*text))
			super->self = (unsigned)(*text - '0');
		if (*text == '~')
			fill_id(super->members[super->self].id, 0x80);
	}
	super->generation.counter = 1;
	fill_id(super->generation.uuid, *text);
	for (text++; text < states; text++) {
		uint8_t uuid[DST_ID_SIZE];

		fill_id(uuid, *text);
		mirror_generation_raise(super, uuid);
	}
}

static void parse_witness(struct mirror_witness *witness, const char *text)
{
	struct mirror_found found;

	*witness = (struct mirror_witness){.known = text != NULL};
	if (!text)
		return;
	parse_node(&found, 0, text);
	memcpy(witness->set, found.super.set, DST_ID_SIZE);
	witness->generation = found.super.generation;
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		witness->in_sync[i] = found.super.members[i].state == MIRROR_IN_SYNC;
}

#define MAJORITY 0x1u
#define FORCE 0x2u
#define MIN_2 0x4u
#define KEEP_FIRST 0x8u
#define KEEP_SECOND 0x10u

#define EQUAL 0x1u /* make_equal */
#define FORCED 0x2u
#define STALE 0x4u

/* Roles: - missing, I in sync, P partial, C compare, D detached, S suspended, o foreign. */
static const char role_letters[] = "-IPCDSo";

static const struct {
	const char *what;
	const char *nodes[NODES]; /* up to the first NULL */
	const char *witness; /* NULL: none */
	unsigned policy;
	enum mirror_verdict verdict;
	const char *roles; /* NULL: there are none */
	unsigned flags;
	const char *text; /* a part of it; NULL: there is none */
} rows[] = {
	/* All there. */
	{"clean", {"*a:II", "*a:II"}, NULL, 0, MIRROR_START_OK, "II", 0, NULL},
	{"after a crash", {"a:II", "a:II"}, "a:II", 0, MIRROR_START_OK, "II", EQUAL, NULL},
	{"one was not cleaned", {"*a:II", "a:II"}, NULL, 0, MIRROR_START_OK, "II", EQUAL, NULL},
	{"other order", {"1a:II", "0a:II"}, NULL, 0, MIRROR_START_OK, "II", EQUAL, NULL},
	{"one node alone", {"*a:I"}, "a:I", MAJORITY, MIRROR_START_OK, "I", 0, NULL},
	{"a generation not told to all",
	 {"ab:II", "a:III", "a:III"},
	 "a:III",
	 0,
	 MIRROR_START_OK,
	 "IIo",
	 EQUAL,
	 NULL},
	{"a change that began only",
	 {"ab:IIA", "a:III", "a:III"},
	 "a:III",
	 MAJORITY,
	 MIRROR_START_OK,
	 "IIP",
	 EQUAL,
	 NULL},
	{"in sync again, told to one",
	 {"ab:II", "a:IX"},
	 "a:IA",
	 0,
	 MIRROR_START_OK,
	 "II",
	 EQUAL,
	 NULL},
	{"in sync again, told to that one",
	 {"a:IX", "ab:II"},
	 "a:IA",
	 0,
	 MIRROR_START_OK,
	 "II",
	 EQUAL,
	 NULL},

	/* Some were away, and are back. */
	{"back: missed", {"ab:IA", "a:II"}, "ab:IA", 0, MIRROR_START_OK, "IP", EQUAL, NULL},
	{"back: long ago", {"abcdef:IA", "a:II"}, NULL, 0, MIRROR_START_OK, "IP", EQUAL, NULL},
	{"back: first in the order",
	 {"a:II", "ab:AI"},
	 NULL,
	 0,
	 MIRROR_START_OK,
	 "PI",
	 EQUAL,
	 NULL},
	{"back: to be compared", {"ab:IF", "a:II"}, NULL, 0, MIRROR_START_OK, "IC", EQUAL, NULL},
	{"copying didn't end", {"ab:IX", "ab:IX"}, NULL, 0, MIRROR_START_OK, "IP", EQUAL, NULL},
	{"comparing didn't end", {"ab:IY", "ab:IY"}, NULL, 0, MIRROR_START_OK, "IC", EQUAL, NULL},
	{"copying was to begin", {"ab:IX", "a:II"}, NULL, 0, MIRROR_START_OK, "IP", EQUAL, NULL},
	{"copying, told to that one only",
	 {"ab:IA", "ab:IX"},
	 NULL,
	 0,
	 MIRROR_START_OK,
	 "IP",
	 EQUAL,
	 NULL},
	{"its own view doesn't count",
	 {"ab:XI", "ab:AI"},
	 NULL,
	 0,
	 MIRROR_START_OK,
	 "PI",
	 EQUAL,
	 NULL},
	{"nor if it came first",
	 {"ab:X.", "1ab:.I"},
	 NULL,
	 0,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "say different things"},
	{"detached stays so", {"ab:ID", "ab:ID"}, NULL, 0, MIRROR_START_OK, "ID", EQUAL, NULL},
	{"suspended stays so", {"ab:IS", "a:II"}, NULL, 0, MIRROR_START_OK, "IS", EQUAL, NULL},
	{"only the suspended one",
	 {"", "a:II"},
	 "ab:IS",
	 0,
	 MIRROR_START_ALTERNATE,
	 "-I",
	 EQUAL,
	 "what is there is stale"},
	{"detached, and away", {"ab:ID", ""}, NULL, 0, MIRROR_START_OK, "I-", EQUAL, NULL},
	{"three generations at once",
	 {"abc:IAA", "ab:IIA", "a:III"},
	 "abc:IAA",
	 0,
	 MIRROR_START_OK,
	 "IPP",
	 EQUAL,
	 NULL},

	/* Missing, recorded. */
	{"absence recorded", {"ab:IA", ""}, "ab:IA", 0, MIRROR_START_OK, "I-", EQUAL, NULL},
	{"without a witness too", {"ab:IA", ""}, NULL, 0, MIRROR_START_OK, "I-", EQUAL, NULL},
	{"witness is behind", {"ab:IA", ""}, "a:II", 0, MIRROR_START_OK, "I-", EQUAL, NULL},
	{"copied to, and away", {"ab:IX", ""}, NULL, 0, MIRROR_START_OK, "I-", EQUAL, NULL},

	/* Missing, and may know more. */
	{"one of two", {"a:II", ""}, "a:II", 0, MIRROR_START_WAIT, "I-", EQUAL, "b is missing"},
	{"one of two, clean", {"*a:II", ""}, NULL, 0, MIRROR_START_WAIT, "I-", 0, "b is missing"},
	{"two of three, by numbers",
	 {"a:III", "", ""},
	 NULL,
	 0,
	 MIRROR_START_WAIT,
	 "I--",
	 EQUAL,
	 "member 2 is missing"},
	{"the one that it left is there",
	 {"", "a:II"},
	 NULL,
	 0,
	 MIRROR_START_WAIT,
	 "-I",
	 EQUAL,
	 "a is missing"},
	{"only the one copied to",
	 {"", "ab:IX"},
	 NULL,
	 0,
	 MIRROR_START_WAIT,
	 "-P",
	 0,
	 "a is missing"},
	{"only the detached one",
	 {"", "ab:ID"},
	 NULL,
	 0,
	 MIRROR_START_WAIT,
	 "-D",
	 0,
	 "a is missing"},
	{"replaced by a blank one",
	 {"a:II", "0"},
	 NULL,
	 0,
	 MIRROR_START_WAIT,
	 "Io",
	 EQUAL,
	 "member 2 is missing"},
	{"replaced by one of another mirror",
	 {"a:II", "%a:II"},
	 "a:II",
	 0,
	 MIRROR_START_WAIT,
	 "Io",
	 EQUAL,
	 "member 2 is missing"},
	{"not in the configuration any more",
	 {"a:III", "a:III"},
	 NULL,
	 0,
	 MIRROR_START_WAIT,
	 "II",
	 EQUAL,
	 "member 3 is missing"},

	/* Alternate loss: b was lost, a went on, now only b is there. */
	{"alternate loss",
	 {"", "a:II"},
	 "ab:IA",
	 0,
	 MIRROR_START_ALTERNATE,
	 "-I",
	 EQUAL,
	 "what is there is stale"},
	{"alternate loss, named",
	 {"", "a:II"},
	 "ab:IA",
	 0,
	 MIRROR_START_ALTERNATE,
	 "-I",
	 EQUAL,
	 "  a"},
	{"alternate loss of three",
	 {"", "ab:IIA", "a:III"},
	 "abc:IAA",
	 0,
	 MIRROR_START_ALTERNATE,
	 "-IP",
	 EQUAL,
	 "generation 2, while this client has written to "
	 "generation 3"},
	{"restored from an old copy",
	 {"a:II", "a:II"},
	 "abc:II",
	 0,
	 MIRROR_START_ALTERNATE,
	 "II",
	 EQUAL,
	 "what is there is stale"},

	/* Split brain. */
	{"split",
	 {"ab:IA", "ac:AI"},
	 NULL,
	 0,
	 MIRROR_START_SPLIT,
	 NULL,
	 0,
	 "--keep a, or --keep b"},
	{"split, one is longer",
	 {"abcd:IA", "ae:AI"},
	 "abcd:IA",
	 0,
	 MIRROR_START_SPLIT,
	 NULL,
	 0,
	 "split brain: a (generation 4) and b (generation 2)"},
	{"split, by force",
	 {"ab:IA", "ac:AI"},
	 NULL,
	 FORCE,
	 MIRROR_START_SPLIT,
	 NULL,
	 0,
	 "Nothing is merged"},
	{"split of three",
	 {"ab:IAA", "ac:AIA", "a:III"},
	 NULL,
	 0,
	 MIRROR_START_SPLIT,
	 NULL,
	 0,
	 "split brain: a (generation 2) and b"},
	{"split, the third agrees with the second",
	 {"ab:IAA", "ac:AII", "ac:AII"},
	 NULL,
	 0,
	 MIRROR_START_SPLIT,
	 NULL,
	 0,
	 "split brain"},
	{"the counter breaks no tie",
	 {"ab:IA", "ac:IA"},
	 NULL,
	 0,
	 MIRROR_START_SPLIT,
	 NULL,
	 0,
	 "split brain"},
	{"split without a common past",
	 {"a:II", "b:II"},
	 NULL,
	 0,
	 MIRROR_START_SPLIT,
	 NULL,
	 0,
	 "split brain"},

	/* A majority of nodes and witness. */
	{"majority: all", {"a:II", "a:II"}, NULL, MAJORITY, MIRROR_START_OK, "II", EQUAL, NULL},
	{"majority: one and the witness",
	 {"ab:IA", ""},
	 "ab:IA",
	 MAJORITY,
	 MIRROR_START_OK,
	 "I-",
	 EQUAL,
	 NULL},
	{"majority: one alone",
	 {"ab:IA", ""},
	 NULL,
	 MAJORITY,
	 MIRROR_START_WAIT,
	 "I-",
	 EQUAL,
	 "no majority: 1 of 3 votes"},
	{"majority: a stale one votes too",
	 {"ab:IA", "a:II"},
	 NULL,
	 MAJORITY,
	 MIRROR_START_OK,
	 "IP",
	 EQUAL,
	 NULL},
	{"majority: half",
	 {"ab:IIA", "ab:IIA", ""},
	 NULL,
	 MAJORITY,
	 MIRROR_START_WAIT,
	 "II-",
	 EQUAL,
	 "no majority: 2 of 4 votes"},
	{"majority: half and the witness",
	 {"ab:IIA", "ab:IIA", ""},
	 "a:III",
	 MAJORITY,
	 MIRROR_START_OK,
	 "II-",
	 EQUAL,
	 NULL},
	{"majority: one of three",
	 {"abc:IAA", "", ""},
	 "abc:IAA",
	 MAJORITY,
	 MIRROR_START_WAIT,
	 "I--",
	 EQUAL,
	 "no majority: 2 of 4 votes"},
	{"majority: another's witness doesn't vote",
	 {"ab:IA", ""},
	 "%ab:IA",
	 MAJORITY | FORCE,
	 MIRROR_START_OK,
	 "I-",
	 EQUAL | FORCED,
	 "no majority: 1 of 3 votes"},
	{"majority: a blank one doesn't vote",
	 {"ab:IA", "0"},
	 NULL,
	 MAJORITY,
	 MIRROR_START_WAIT,
	 "Io",
	 EQUAL,
	 "no majority: 1 of 3 votes"},

	/* min_nodes. */
	{"min_nodes: enough", {"a:II", "a:II"}, NULL, MIN_2, MIRROR_START_OK, "II", EQUAL, NULL},
	{"min_nodes: one too few",
	 {"ab:IA", "a:II"},
	 NULL,
	 MIN_2,
	 MIRROR_START_WAIT,
	 "IP",
	 EQUAL,
	 "1 nodes are in sync; min_nodes is 2"},
	{"min_nodes: by force",
	 {"ab:IA", ""},
	 NULL,
	 MIN_2 | FORCE,
	 MIRROR_START_OK,
	 "I-",
	 EQUAL | FORCED,
	 "started by force"},

	/* Force. */
	{"force without need", {"*a:II", "*a:II"}, NULL, FORCE, MIRROR_START_OK, "II", 0, NULL},
	{"force: one is missing",
	 {"a:II", ""},
	 "a:II",
	 FORCE,
	 MIRROR_START_OK,
	 "I-",
	 EQUAL | FORCED,
	 "b is missing"},
	{"force: alternate loss",
	 {"", "a:II"},
	 "ab:IA",
	 FORCE,
	 MIRROR_START_OK,
	 "-I",
	 EQUAL | FORCED,
	 "is lost"},
	{"force: only a copied one",
	 {"", "ab:IX"},
	 NULL,
	 FORCE,
	 MIRROR_START_BROKEN,
	 "-P",
	 FORCED,
	 "no node that is there has all of the data"},
	{"force: only one to be compared",
	 {"", "ab:IY"},
	 NULL,
	 FORCE,
	 MIRROR_START_BROKEN,
	 "-C",
	 FORCED,
	 "no node that is there has all"},
	{"force: stale and copied",
	 {"", "a:III", "ab:IAX"},
	 NULL,
	 FORCE,
	 MIRROR_START_OK,
	 "-IC",
	 EQUAL | FORCED | STALE,
	 "b serves what it had in generation 1"},
	{"force: copied, as others know",
	 {"", "ab:IXA", "a:III"},
	 NULL,
	 FORCE,
	 MIRROR_START_OK,
	 "-CI",
	 EQUAL | FORCED | STALE,
	 "c serves"},
	{"force: it knows, others don't",
	 {"", "ab:IAA", "ab:IAX"},
	 NULL,
	 FORCE,
	 MIRROR_START_OK,
	 "-IC",
	 EQUAL | FORCED | STALE,
	 "b serves"},
	{"force: the least stale",
	 {"", "ab:IIAA", "a:IIII", "abc:IAAX"},
	 NULL,
	 FORCE,
	 MIRROR_START_OK,
	 "-ICC",
	 EQUAL | FORCED | STALE,
	 "b serves what it had in generation 2"},
	{"force: detached",
	 {"", "*ab:ID"},
	 NULL,
	 FORCE,
	 MIRROR_START_OK,
	 "-I",
	 FORCED | STALE,
	 "b serves what it had"},
	{"force: nobody was ever in sync",
	 {"ab:AA", "a:II"},
	 NULL,
	 FORCE,
	 MIRROR_START_OK,
	 "IC",
	 EQUAL | FORCED | STALE,
	 "a serves"},
	{"force: a foreign witness",
	 {"a:II", "a:II"},
	 "%a:II",
	 FORCE,
	 MIRROR_START_OK,
	 "II",
	 EQUAL,
	 NULL},

	/* No mirror, several, contradictions. */
	{"nobody", {"", ""}, NULL, 0, MIRROR_START_BROKEN, NULL, 0, "no node that is there holds"},
	{"nobody, by force", {"", ""}, "a:II", FORCE, MIRROR_START_BROKEN, NULL, 0, "no node"},
	{"all blank", {"0", "0"}, NULL, 0, MIRROR_START_BROKEN, NULL, 0, "dstctl mirror create"},
	{"two mirrors",
	 {"a:II", "%a:II"},
	 NULL,
	 0,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "a and b belong to different mirrors"},
	{"two mirrors, by force",
	 {"a:II", "%a:II"},
	 NULL,
	 FORCE,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "different mirrors"},
	{"another mirror than before",
	 {"a:II", "a:II"},
	 "%a:II",
	 0,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "another mirror than the one that was used here before"},
	{"copies",
	 {"0a:II", "0a:II"},
	 NULL,
	 0,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "a and b claim to be the same member"},
	{"copies, by force",
	 {"0ab:IA", "0a:II"},
	 "ab:IA",
	 FORCE,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "one is a copy"},
	{"an old medium of a member",
	 {"ab:II", "ab:II", "1~a:II"},
	 NULL,
	 0,
	 MIRROR_START_OK,
	 "IIo",
	 EQUAL,
	 NULL},
	{"an old medium instead",
	 {"ab:II", "~a:II"},
	 NULL,
	 0,
	 MIRROR_START_WAIT,
	 "Io",
	 EQUAL,
	 "member 2 is missing"},
	{"removed", {"ab:II.", "ab:II.", "a:III"}, NULL, 0, MIRROR_START_OK, "IIo", EQUAL, NULL},
	{"added, told to some",
	 {"a:IIY", "a:II", "0"},
	 NULL,
	 0,
	 MIRROR_START_OK,
	 "IIo",
	 EQUAL,
	 NULL},
	{"contradiction",
	 {"a:II", "a:AI"},
	 NULL,
	 0,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "a and b say different things of generation 1"},

	/* A person chooses. */
	{"split, the first is kept",
	 {"ab:IA", "ac:AI"},
	 "ac:AI",
	 KEEP_FIRST,
	 MIRROR_START_OK,
	 "IC",
	 EQUAL | FORCED | STALE,
	 NULL},
	{"split, the second is kept",
	 {"ab:IA", "*ac:AI"},
	 "ab:IA",
	 KEEP_SECOND,
	 MIRROR_START_OK,
	 "CI",
	 FORCED | STALE,
	 NULL},
	{"split, two of three are kept",
	 {"ab:IIA", "ab:IIA", "ac:AAI"},
	 NULL,
	 KEEP_FIRST,
	 MIRROR_START_OK,
	 "IIC",
	 EQUAL | FORCED | STALE,
	 NULL},
	{"split, and one that was behind",
	 {"abd:IAA", "ac:AIA", "a:III"},
	 NULL,
	 KEEP_FIRST,
	 MIRROR_START_OK,
	 "ICC",
	 EQUAL | FORCED | STALE,
	 NULL},
	{"alternate loss, kept",
	 {"", "a:II"},
	 "ab:IA",
	 KEEP_SECOND,
	 MIRROR_START_OK,
	 "-I",
	 EQUAL | FORCED | STALE,
	 NULL},
	{"what is behind is kept",
	 {"ab:IA", "a:II"},
	 "ab:IA",
	 KEEP_SECOND,
	 MIRROR_START_OK,
	 "CI",
	 EQUAL | FORCED | STALE,
	 NULL},
	{"one that was told is kept, alone",
	 {"ab:IF", "ab:IF"},
	 "ab:IF",
	 KEEP_SECOND,
	 MIRROR_START_OK,
	 "CI",
	 EQUAL | FORCED | STALE,
	 NULL},
	{"one that was only partly copied is kept",
	 {"ab:IA", "ac:AX"},
	 NULL,
	 KEEP_SECOND,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "only partly copied"},
	{"one that isn't there is kept",
	 {"ab:IA", ""},
	 NULL,
	 KEEP_SECOND,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "is not there"},
	{"a blank one is kept",
	 {"ab:IA", "0"},
	 NULL,
	 KEEP_SECOND,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "holds no mirror"},
	{"of two mirrors one is kept",
	 {"ab:IA", "%ac:AI"},
	 NULL,
	 KEEP_SECOND,
	 MIRROR_START_OK,
	 "oI",
	 EQUAL | FORCED | STALE,
	 NULL},
	{"contradiction, by force",
	 {"a:II", "a:AI"},
	 NULL,
	 FORCE,
	 MIRROR_START_BROKEN,
	 NULL,
	 0,
	 "changed from outside"},
};

static bool check_row(unsigned index, const struct mirror_start *start, unsigned count,
		      enum mirror_verdict verdict)
{
	const char *roles = rows[index].roles, *text = rows[index].text;
	unsigned flags = rows[index].flags;

	if (verdict != rows[index].verdict || start->make_equal != !!(flags & EQUAL) ||
	    start->forced != !!(flags & FORCED) || start->stale != !!(flags & STALE))
		return false;
	for (unsigned i = 0; roles && i < count; i++)
		if (role_letters[start->roles[i]] != roles[i])
			return false;
	return text ? strstr(start->text, text) != NULL : !start->text[0];
}

static void test_rows(void **state)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct mirror_start_policy policy = {
			.majority = rows[i].policy & MAJORITY,
			.min_nodes = rows[i].policy & MIN_2 ? 2 : 0,
			.force = rows[i].policy & FORCE,
			.resolve = rows[i].policy & (KEEP_FIRST | KEEP_SECOND),
			.keep = rows[i].policy & KEEP_SECOND ? 1 : 0,
		};
		struct mirror_found found[NODES];
		struct mirror_witness witness;
		struct mirror_start start;
		enum mirror_verdict verdict;
		unsigned count = 0;

		for (; count < NODES && rows[i].nodes[count]; count++)
			parse_node(&found[count], count, rows[i].nodes[count]);
		parse_witness(&witness, rows[i].witness);
		verdict = mirror_start_judge(&start, found, count, &witness, &policy);
		if (check_row(i, &start, count, verdict))
			continue;
		print_error("%s: verdict %d, %s%s%sroles ", rows[i].what, verdict,
			    start.make_equal ? "equal, " : "", start.forced ? "forced, " : "",
			    start.stale ? "stale, " : "");
		for (unsigned n = 0; n < count; n++)
			print_error("%c", role_letters[start.roles[n]]);
		print_error(" text: %s\n", start.text);
		failed++;
	}
	assert_int_equal(failed, 0);
}

/* The newest is the same whatever the order, and the same superblock is told to be it. */
static void test_newest(void **state)
{
	static const char *const nodes[] = {"0a:III", "1abc:AIA", "2ab:AII"};
	static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	const struct mirror_start_policy policy = {.majority = false};
	const struct mirror_witness witness = {.known = false};

	for (unsigned o = 0; o < 6; o++) {
		struct mirror_found found[3];
		struct mirror_start start;

		for (unsigned i = 0; i < 3; i++)
			parse_node(&found[i], i, nodes[orders[o][i]]);
		assert_int_equal(mirror_start_judge(&start, found, 3, &witness, &policy),
				 MIRROR_START_OK);
		assert_int_equal(orders[o][start.newest], 1);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(start.roles[i], orders[o][i] == 1 ? MIRROR_ROLE_IN_SYNC
									   : MIRROR_ROLE_PARTIAL);
	}
}

/* More generations have passed than a superblock remembers. */
static void test_long_away(void **state)
{
	const struct mirror_start_policy policy = {.majority = true};
	const struct mirror_witness witness = {.known = false};
	struct mirror_found found[2];
	struct mirror_super *super = &found[0].super;
	struct mirror_start start;
	uint8_t uuid[DST_ID_SIZE];

	parse_node(&found[0], 0, "ab:IA");
	parse_node(&found[1], 1, "a:II");
	memcpy(super->members[1].left, found[1].super.generation.uuid, DST_ID_SIZE);
	for (int i = 0; i < 100; i++) {
		fill_id(uuid, 0x80 + i);
		mirror_generation_raise(super, uuid);
	}
	assert_int_equal(mirror_start_judge(&start, found, 2, &witness, &policy), MIRROR_START_OK);
	assert_int_equal(start.roles[1], MIRROR_ROLE_PARTIAL);
	/* The others know already that it is copied to, itself doesn't yet. */
	super->members[1].state = MIRROR_INCONSISTENT;
	assert_int_equal(mirror_start_judge(&start, found, 2, &witness, &policy), MIRROR_START_OK);
	assert_int_equal(start.roles[1], MIRROR_ROLE_PARTIAL);
	/* It moved on from there by itself. */
	fill_id(uuid, 0x70);
	mirror_generation_raise(&found[1].super, uuid);
	assert_int_equal(mirror_start_judge(&start, found, 2, &witness, &policy),
			 MIRROR_START_SPLIT);
}

/* Names of any length: the text is cut off, not overrun. */
static void test_long_names(void **state)
{
	const struct mirror_start_policy policy = {.force = true};
	const struct mirror_witness witness = {.known = false};
	struct mirror_found found[2];
	struct mirror_start start;
	char name[2000];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	parse_node(&found[0], 0, "a:II");
	parse_node(&found[1], 1, "");
	found[0].name = found[1].name = name;
	assert_int_equal(mirror_start_judge(&start, found, 2, &witness, &policy), MIRROR_START_OK);
	assert_int_equal(strlen(start.text), sizeof(start.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_newest),
		cmocka_unit_test(test_long_away),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
