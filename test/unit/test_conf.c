/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_conf.c - configuration files: what is read, what is refused, and where the message points. */
#include "common/conf.h"

#include "common/clock.h"
#include "common/conf_tables.h"
#include "common/text.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/dstfs-test-conf.XXXXXX";
static char reason_text[CONF_REASON_MAX];
static const struct reason reason = {reason_text, sizeof(reason_text)};

static const char *in_folder(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", folder, name);
	return path;
}

static void write_bytes(const char *name, const char *bytes, size_t size)
{
	FILE *file = fopen(in_folder(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

/* The file "main" with this text; NULL: refused. */
static struct conf *load(const char *text)
{
	write_text("main", text);
	return conf_load(in_folder("main"), &reason);
}

static const struct conf_entry *entry_at(const struct conf *conf, const char *kind, unsigned index)
{
	const struct conf_section *section = conf_find_section(conf, kind);
	const struct conf_entry *entry = section ? section->entries : NULL;

	while (entry && index--)
		entry = entry->next;
	return entry;
}

/* The one value of a file that must be good. */
static void check_value(const char *line, const char *key, const char *value)
{
	char text[256];
	struct conf *conf;
	const struct conf_entry *entry;

	snprintf(text, sizeof(text), "[s]\n%s\nlast = 1\n", line);
	conf = load(text);
	if (!conf)
		fail_msg("%s: %s", line, reason_text);
	entry = entry_at(conf, "s", 0);
	assert_non_null(entry);
	assert_string_equal(entry->name, key);
	assert_string_equal(entry->value, value);
	assert_int_equal(entry->line, 2);
	entry = entry_at(conf, "s", 1);
	assert_non_null(entry);
	assert_string_equal(entry->name, "last");
	assert_null(entry->next);
	conf_free(&conf);
}

static void values_keep_all_but_the_blanks_around_them(void **state)
{
	check_value("a = b", "a", "b");
	check_value("a=b", "a", "b");
	check_value("a: b", "a", "b");
	check_value(" \ta\t = \t b  c \t ", "a", "b  c");
	check_value("a =", "a", "");
	check_value("a = b ; c", "a", "b ; c");
	check_value("a = ;", "a", ";");
	check_value("a = b #c", "a", "b #c");
	check_value("a = b\t;c ;;  ; d", "a", "b\t;c ;;  ; d");
	check_value("a = |b|", "a", "|b|");
	check_value("a = |", "a", "|");
	check_value("a = b = c : d", "a", "b = c : d");
	check_value("a = [b]", "a", "[b]");
	check_value("a = it's \"so\"", "a", "it's \"so\"");
	check_value("a = b\\", "a", "b\\");
	check_value("listen = [::1]:10878", "listen", "[::1]:10878");
	check_value("node = dst://h/x;y?", "node", "dst://h/x;y?");
	check_value("a = Grüße, 日本", "a", "Grüße, 日本");
	check_value("a = b\r", "a", "b");
	check_value("read-only = b", "read-only", "b");
}

/* inih reads 200 bytes: all lengths around its pieces, and blanks and semicolons everywhere. */
static void long_values_come_back_whole(void **state)
{
	static const size_t lengths[] = {4096, 20000, CONF_LINE_MAX - 4};
	static char line[CONF_LINE_MAX + 64];
	uint64_t seed = 1;

	for (size_t i = 0; i < 700 + 3; i++) {
		size_t size = i < 700 ? i + 1 : lengths[i - 700];
		struct conf *conf;
		char *value;

		strcpy(line, "[s]\na = ");
		value = line + strlen(line);
		for (size_t j = 0; j < size; j++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			value[j] = " ;|#=x\t["[seed >> 61];
		}
		value[0] = value[size - 1] = 'x';
		value[size] = '\0';
		conf = load(line);
		if (!conf)
			fail_msg("%zu: %s", size, reason_text);
		assert_string_equal(entry_at(conf, "s", 0)->value, value);
		conf_free(&conf);
	}
}

static void comments_and_blank_lines_are_skipped(void **state)
{
	struct conf *conf =
		load("\xef\xbb\xbf# one\n\n ; two\n\t\n[s]\n#a = 1\n;b = 2\n  # c\nd = 4");

	assert_non_null(conf);
	assert_string_equal(entry_at(conf, "s", 0)->name, "d");
	assert_int_equal(entry_at(conf, "s", 0)->line, 9);
	assert_null(entry_at(conf, "s", 1));
	conf_free(&conf);
}

static void an_indented_line_is_a_key_and_no_continuation(void **state)
{
	struct conf *conf = load("[s]\n  a = 1\n  b = 2\n");

	assert_non_null(conf);
	assert_string_equal(entry_at(conf, "s", 1)->name, "b");
	assert_string_equal(entry_at(conf, "s", 1)->value, "2");
	conf_free(&conf);
}

static void sections_are_all_there_even_empty_or_doubled(void **state)
{
	struct conf *conf = load("[a]\r\n[a]\r\n[ b  long name \t]\nx = 1\n[c\tn]\n");
	const struct conf_section *s;

	assert_non_null(conf);
	s = conf->sections;
	assert_string_equal(s->kind, "a");
	assert_null(s->name);
	assert_int_equal(s->line, 1);
	s = s->next;
	assert_string_equal(s->kind, "a");
	assert_int_equal(s->line, 2);
	s = s->next;
	assert_string_equal(s->kind, "b");
	assert_string_equal(s->name, "long name");
	s = s->next;
	assert_string_equal(s->name, "n");
	assert_null(s->entries);
	assert_null(s->next);
	conf_free(&conf);
}

static void a_section_name_may_be_longer_than_inih_keeps(void **state)
{
	char text[400], name[256];
	struct conf *conf;

	memset(name, 'n', 255);
	name[255] = '\0';
	snprintf(text, sizeof(text), "[volume %s]\na = 1\n", name);
	conf = load(text);
	assert_non_null(conf);
	assert_string_equal(conf->sections->name, name);
	assert_string_equal(entry_at(conf, "volume", 0)->value, "1");
	conf_free(&conf);
}

/* The text is refused with a message that has this in it, behind the file and the line. */
static void check_refused(const char *text, unsigned line, const char *part)
{
	char place[PATH_MAX + 32];
	struct conf *conf = load(text);

	if (conf)
		conf_check(conf, conf_kinds, &reason);
	conf_free(&conf);
	snprintf(place, sizeof(place), "%s:%u: ", in_folder("main"), line);
	if (strncmp(reason_text, place, strlen(place)) != 0 || !strstr(reason_text, part))
		fail_msg("%s\ngives: %s", text, reason_text);
	assert_null(strchr(reason_text, '\n'));
	*reason_text = '\0';
}

static void bad_syntax_is_refused_with_its_line(void **state)
{
	check_refused("a = 1\n", 1, "before any section");
	check_refused("[server]\nfoo\n", 2, "key = value");
	check_refused("[server]\nworkers = 1\n  more\n", 3, "can't go on in another line");
	check_refused("[server]\n= 1\n", 2, "missing");
	check_refused("[server]\na b = 1\n", 2, "no key");
	check_refused("[server]\ngr\xc3\xbc\xc3\x9f = 1\n", 2, "no key");
	check_refused("[server]\nabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz = 1\n", 2,
		      "too long");
	check_refused("\n[server\n", 2, "']' is missing");
	check_refused("[server] # x\n", 1, "']' is missing");
	check_refused("[server]x\n", 1, "a line of its own");
	check_refused("[]\n", 1, "no section");
	check_refused("[ ]\n", 1, "no section");
	check_refused("[volume \"a\"]\n", 1, "without quotes");
	check_refused("[volume a]b]\n", 1, "no section");
	check_refused("[server]\npidfile = \"/x\"\n", 2, "quote");
	check_refused("[server]\nworkers = 1\001\n", 2, "byte 0x01 in column 12");
	check_refused("[server]\nworkers = \xff\n", 2, "byte 0xff");
	check_refused("[server]\nworkers = \xc0\x80\n", 2, "byte 0xc0");
	check_refused("[server]\nworkers = \xed\xa0\x80\n", 2, "byte 0xed");
	check_refused("[server]\nworkers = \xe0\x83\xbf\n", 2, "byte 0xe0");
	check_refused("[server]\nworkers = \xf0\x8f\xbf\xbf\n", 2, "byte 0xf0");
	check_refused("[server]\nworkers = \xf4\x90\x80\x80\n", 2, "byte 0xf4");
	check_refused("[server]\r\rworkers = 1\n", 1, "byte 0x0d");
	check_refused("# \x1b[31m\n", 1, "byte 0x1b");
	check_refused("[server]\nworkers = 1\n\xef\xbb\xbf[export a]\n", 3, "neither");
}

static void nul_bytes_are_refused_with_their_line(void **state)
{
	static const char text[] = "[server]\n# x\nworkers = 1\0 2\n";

	write_bytes("main", text, sizeof(text) - 1);
	assert_null(conf_load(in_folder("main"), &reason));
	assert_non_null(strstr(reason_text, "main:3: byte 0x00 in column 12"));
}

static void a_line_may_be_long_but_not_endless(void **state)
{
	static char text[CONF_LINE_MAX + 64];
	static const char start[] = "[s]\r\na = ";
	struct conf *conf;

	memset(text, 'x', sizeof(text));
	memcpy(text, start, sizeof(start) - 1);
	memcpy(text + 5 + CONF_LINE_MAX, "\r\nb = 1\r\n", 10);
	conf = load(text);
	assert_non_null(conf);
	assert_int_equal(strlen(entry_at(conf, "s", 0)->value), CONF_LINE_MAX - 4);
	assert_string_equal(entry_at(conf, "s", 1)->value, "1");
	conf_free(&conf);
	memcpy(text + 5 + CONF_LINE_MAX, "x\r\nb = 1\r\n", 11);
	check_refused(text, 2, "too long");
	memset(text + 5, 'x', CONF_LINE_MAX + 40);
	text[CONF_LINE_MAX + 45] = '\0';
	check_refused(text, 2, "too long");
}

static void keys_and_sections_are_checked_against_the_tables(void **state)
{
	check_refused("[server]\n[serve]\n", 2, "did you mean [server]?");
	check_refused("[Server]\n", 1, "did you mean [server]?");
	check_refused("[nonsense]\n", 1, "no section is called [nonsense]");
	check_refused("[server a]\n", 1, "takes no name");
	check_refused("[volume]\n", 1, "needs a name");
	check_refused("[volume a/b]\n", 1, "can't be a name");
	check_refused("[volume ..]\n", 1, "can't be a name");
	check_refused("[volume a]\n[volume b]\n[volume a]\n", 3, "main:1; give it once");
	check_refused("[volume a]\n[volume a]\n", 2, "main:1; give it once");
	check_refused("[server]\nworker = 1\n", 2, "did you mean workers?");
	check_refused("[volume a]\nresned = 1\n", 2, "did you mean resends?");
	check_refused("[server]\nxyzzy = 1\n", 2, "no key xyzzy");
	check_refused("[server]\ntimeout = 1\n", 2, "no key timeout");
	check_refused("[server]\nworkers = 1\n\nworkers = 1\n", 4, "already in line 2");
	check_refused("[volume a]\nread-only = yes\nro = yes\n", 3, "already in line 2");
	check_refused("[server]\nworkers = 65\n", 2, "from 1 to 64");
	check_refused("[volume a]\ntimeout = 30x\n", 2, "no duration");
	check_refused("[volume a]\nnode = /srv/x\n", 2, "no node");
	check_refused("[volume a]\ncache = none # really\n", 2, "write none or auto");
	check_refused("[export a]\nsize = 10Q\n", 2, "no size");
}

static void repeated_keys_keep_their_order(void **state)
{
	struct conf *conf = load("[server]\nlisten = a\nlisten = b\nworkers = 2\nlisten = c\n");

	assert_non_null(conf);
	assert_int_equal(conf_check(conf, conf_kinds, &reason), 0);
	assert_string_equal(entry_at(conf, "server", 0)->value, "a");
	assert_string_equal(entry_at(conf, "server", 1)->value, "b");
	assert_string_equal(entry_at(conf, "server", 3)->value, "c");
	conf_free(&conf);
}

static void includes_are_read_in_order_and_do_not_change_the_section(void **state)
{
	struct conf *conf;
	const struct conf_section *s;

	assert_int_equal(mkdir(in_folder("d"), 0700), 0);
	write_text("d/2.inc", "[two]\nx = 2\n");
	write_text("d/1.inc", "[one]\nx = 1\ninclude = deep/../3\n");
	assert_int_equal(mkdir(in_folder("d/deep"), 0700), 0);
	write_text("d/3", "[three]\n");
	conf = load(
		"include = d/*.inc\ninclude = none/*.inc\n[s]\na = 1\ninclude = d/?.none\nb = 2\n");
	if (!conf)
		fail_msg("%s", reason_text);
	s = conf->sections;
	assert_string_equal(s->kind, "one");
	assert_string_equal(s->file, in_folder("d/1.inc"));
	s = s->next;
	assert_string_equal(s->kind, "three");
	s = s->next;
	assert_string_equal(s->kind, "two");
	assert_string_equal(s->next->kind, "s");
	assert_string_equal(entry_at(conf, "s", 1)->name, "b");
	conf_free(&conf);
}

static void a_pattern_may_match_the_file_itself(void **state)
{
	struct conf *conf;

	assert_int_equal(mkdir(in_folder("self [x]"), 0700), 0);
	write_text("self [x]/a.conf", "include = *.conf\n[a]\n");
	write_text("self [x]/b.conf", "include = *.conf\n[b]\n");
	conf = conf_load(in_folder("self [x]/a.conf"), &reason);
	if (!conf)
		fail_msg("%s", reason_text);
	assert_string_equal(conf->sections->kind, "b");
	assert_string_equal(conf->sections->next->kind, "a");
	assert_null(conf->sections->next->next);
	conf_free(&conf);
}

static void bad_includes_are_refused_with_the_including_line(void **state)
{
	char name[16], text[64];

	check_refused("[server]\ninclude = nothing.conf\n", 2, "nothing.conf: No such file");
	check_refused("include = main\n", 1, "was read already");
	check_refused("include =\n", 1, "include has no file");
	check_refused("include = .\n", 1, "is a folder");
	write_text("other", "include = main\n");
	assert_null(load("include = other\n"));
	assert_non_null(strstr(reason_text, "other:1: "));
	write_text("other", "x = 1\n");
	assert_null(load("[t]\ninclude = other\n"));
	assert_non_null(strstr(reason_text, "other:1: x stands before any section"));
	write_text("other", "[s]\nx\n");
	assert_null(load("[t]\n\ninclude = other\n"));
	assert_non_null(strstr(reason_text, "other:2: "));
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "deep%u", i);
		snprintf(text, sizeof(text), i < 9 ? "include = deep%u\n" : "# %u\n", i + 1);
		write_text(name, text);
	}
	assert_null(conf_load(in_folder("deep0"), &reason));
	assert_non_null(strstr(reason_text, "deep7:1: "));
	assert_non_null(strstr(reason_text, "more than 8"));
	conf_free(&(struct conf *){conf_load(in_folder("deep2"), &reason)});
}

static void a_file_that_can_not_be_read_is_named(void **state)
{
	assert_null(conf_load("/nonexistent/dstfs.conf", &reason));
	assert_string_equal(reason_text, "/nonexistent/dstfs.conf: No such file or directory");
	assert_null(conf_load(folder, &reason));
	assert_non_null(strstr(reason_text, "is a folder"));
}

/* Typed values. */

static const char *const choices[] = {"none", "auto", NULL};

static int parse(conf_parser *parser, const char *text, void *field)
{
	const struct conf_key key = {
		.name = "k", .value = "V", .least = 0, .most = 0, .choices = choices};
	const struct conf_value value = {.text = text, .key = &key, .reason = &reason};
	int error = parser(&value, NULL);

	*reason_text = '\0';
	assert_int_equal(parser(&value, field), error); /* a check alone says the same */
	assert_int_equal(!*reason_text, !error);
	return error;
}

static void sizes_are_powers_of_1024_and_do_not_overflow(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = {{"0", 0},
		    {"512", 512},
		    {"64K", 65536},
		    {"64k", 65536},
		    {"64KiB", 65536},
		    {"10M", 10 << 20},
		    {"1 G", 1 << 30},
		    {"3T", 3ull << 40},
		    {"8191P", 8191ull << 50},
		    {"9223372036854775807", INT64_MAX},
		    {"7B", 7}};
	static const char *const bad[] = {
		"",    "K",    "-1", "+1", "1.5G", "10KB", "0x10", "8192P", "99999999999999999999",
		"1e3", "1G G", " 1"};
	uint64_t size;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (parse(conf_parse_size, good[i].text, &size))
			fail_msg("%s: %s", good[i].text, reason_text);
		assert_int_equal(size, good[i].size);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!parse(conf_parse_size, bad[i], &size))
			fail_msg("%s", bad[i]);
}

static void durations_are_nanoseconds(void **state)
{
	static const struct {
		const char *text;
		uint64_t duration;
	} good[] = {{"0", 0},
		    {"30", 30 * CLOCK_SEC},
		    {"500ms", 500 * CLOCK_MS},
		    {"30s", 30 * CLOCK_SEC},
		    {"5m", 300 * CLOCK_SEC},
		    {"5 min", 300 * CLOCK_SEC},
		    {"2h", 7200 * CLOCK_SEC},
		    {"1d", 86400 * CLOCK_SEC}};
	static const char *const bad[] = {
		"", "s", "-1s", "0.5s", "5x", "5 s s", "999999999999999d"};
	uint64_t duration;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (parse(conf_parse_duration, good[i].text, &duration))
			fail_msg("%s: %s", good[i].text, reason_text);
		assert_int_equal(duration, good[i].duration);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!parse(conf_parse_duration, bad[i], &duration))
			fail_msg("%s", bad[i]);
}

static void words_and_numbers_are_exact(void **state)
{
	static const char *const yes[] = {"yes", "on", "true", "1", "YES"};
	static const char *const no[] = {"no", "off", "false", "0", "Off"};
	unsigned number;
	mode_t mode;
	uid_t uid;
	bool flag;

	for (size_t i = 0; i < 5; i++) {
		flag = false;
		assert_int_equal(parse(conf_parse_bool, yes[i], &flag), 0);
		assert_true(flag);
		assert_int_equal(parse(conf_parse_bool, no[i], &flag), 0);
		assert_false(flag);
	}
	assert_int_not_equal(parse(conf_parse_bool, "", &flag), 0);
	assert_int_not_equal(parse(conf_parse_bool, "2", &flag), 0);
	assert_int_not_equal(parse(conf_parse_bool, "y", &flag), 0);
	assert_int_equal(parse(conf_parse_choice, "auto", &number), 0);
	assert_int_equal(number, 1);
	assert_int_not_equal(parse(conf_parse_choice, "aut", &number), 0);
	assert_non_null(strstr(reason_text, "none or auto"));
	assert_int_equal(parse(conf_parse_unsigned, "4294967294", &number), 0);
	assert_int_equal(number, 4294967294u);
	assert_int_not_equal(parse(conf_parse_unsigned, "4294967295", &number), 0);
	assert_int_not_equal(parse(conf_parse_unsigned, "18446744073709551617", &number), 0);
	assert_int_not_equal(parse(conf_parse_unsigned, "-1", &number), 0);
	assert_int_not_equal(parse(conf_parse_unsigned, "forever", &number), 0);
	assert_int_equal(parse(conf_parse_count, "forever", &number), 0);
	assert_int_equal(number, UINT32_MAX);
	assert_int_equal(parse(conf_parse_mode, "0640", &mode), 0);
	assert_int_equal(mode, 0640);
	assert_int_not_equal(parse(conf_parse_mode, "1777", &mode), 0);
	assert_int_not_equal(parse(conf_parse_mode, "688", &mode), 0);
	assert_int_equal(parse(conf_parse_user, "root", &uid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(parse(conf_parse_user, "4242", &uid), 0);
	assert_int_equal(uid, 4242);
	assert_int_not_equal(parse(conf_parse_user, "4294967295", &uid), 0);
	assert_int_not_equal(parse(conf_parse_user, "no such user", &uid), 0);
}

static void relative_paths_start_at_the_file(void **state)
{
	const struct conf_key key = {.name = "k", .value = "FILE", .most = 20};
	struct conf_value value = {
		.text = "sub/x", .key = &key, .file = "/etc/dst/a.conf", .reason = &reason};
	char *path = NULL;

	assert_int_equal(conf_parse_path(&value, &path), 0);
	assert_string_equal(path, "/etc/dst/sub/x");
	value.text = "/abs";
	assert_int_equal(conf_parse_path(&value, &path), 0);
	assert_string_equal(path, "/abs");
	value.text = "012345678901";
	assert_int_not_equal(conf_parse_path(&value, &path), 0);
	value.text = "";
	assert_int_not_equal(conf_parse_path(&value, &path), 0);
	value = (struct conf_value){.text = "x", .key = &key, .folder = "/here", .reason = &reason};
	assert_int_equal(conf_parse_path(&value, &path), 0);
	assert_string_equal(path, "/here/x");
	free(path);
}

/* Rows that can't be parsed, found twice or not described would be our own mistakes. */
static void the_tables_are_sound(void **state)
{
	const struct reason r = reason;

	for (const struct conf_kind *kind = conf_kinds; kind->name; kind++)
		for (const struct conf_key *const *t = kind->tables; *t; t++)
			for (const struct conf_key *key = *t; key->name; key++) {
				struct conf_value value = {
					.text = key->standard, .key = key, .reason = &r};

				assert_ptr_equal(conf_find_key(kind->tables, key->name), key);
				assert_true(strlen(key->name) <= CONF_KEY_MAX);
				assert_non_null(key->help);
				assert_null(strchr(key->help, '\n'));
				if (key->standard && key->parse(&value, NULL))
					fail_msg("%s: %s", key->name, reason_text);
				if (!key->value)
					assert_non_null(key->standard);
			}
}

/* Is there a line "[#]KEY = TEXT" in the example's section? TEXT is "" for "no default". */
static bool example_has(const char *text, const char *section, const char *key, const char *value)
{
	char head[64], line[128];
	const char *from, *end, *at;

	snprintf(head, sizeof(head), "\n[%s", section);
	from = strstr(text, head);
	assert_non_null(from);
	end = strstr(from + 1, "\n[");
	snprintf(line, sizeof(line), "\n#%s =%s%s\n", key, *value ? " " : "", value);
	at = strstr(from, line);
	return at && (!end || at < end);
}

/* Of [dstfs], its own keys; those of all volumes stand in [volume]. */
static void the_example_shows_every_key_with_its_default(void **state)
{
	static const struct {
		const char *section;
		const struct conf_key *keys;
	} tables[] = {{"server", conf_server_keys},
		      {"export", conf_export_keys},
		      {"dstfs", conf_mount_keys},
		      {"volume", conf_volume_keys},
		      {"volume", conf_node_keys}};
	const char *folder_of_source = getenv("SRC");
	char path[PATH_MAX], text[20000];
	FILE *file;

	snprintf(path, sizeof(path), "%s/dstfs.conf.example",
		 folder_of_source ? folder_of_source : ".");
	file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct conf_key *key = tables[i].keys; key->name; key++) {
			if (!strcmp(key->name, "path") || !strcmp(key->name, "node"))
				continue; /* must be given, and are */
			if (!example_has(text, tables[i].section, key->name,
					 key->standard ? key->standard : ""))
				fail_msg("[%s] lacks #%s = %s", tables[i].section, key->name,
					 key->standard ? key->standard : "");
		}
}

/* Whatever the bytes: no crash, one clean line as reason, and what is read obeys the limits. */
static void random_files_are_read_or_refused(void **state)
{
	static const char *const pieces[] = {
		"[",
		"]",
		"\n",
		"\r\n",
		"=",
		":",
		" ",
		"\t",
		"#",
		";",
		"|",
		"\"",
		"server",
		"volume a",
		"[volume b]\n",
		"\n[dstfs]\n",
		"workers = 1\n",
		"timeout",
		"30s",
		"\xff",
		"\x01",
		"\xc3\xa4",
		"node = dst://h/x\n",
		"include = none*\n",
		"\xef\xbb\xbf",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
	const size_t count = sizeof(pieces) / sizeof(pieces[0]);
	uint64_t seed = 42;
	unsigned good = 0;

	for (unsigned run = 0; run < 5000; run++) {
		char text[4096];
		size_t size = 0;
		struct conf *conf;

		for (unsigned i = 0; i < 1 + run % 40; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			size += (size_t)sprintf(text + size, "%s", pieces[(seed >> 33) % count]);
			if (seed >> 59 == 0)
				text[size++] = (char)(seed >> 40);
		}
		write_bytes("main", text, size);
		*reason_text = '\0';
		conf = conf_load(in_folder("main"), &reason);
		if (conf && conf_check(conf, conf_kinds, &reason) == 0)
			good++;
		else
			assert_true(*reason_text && text_is_clean(reason_text));
		conf_free(&conf);
	}
	assert_true(good > 25);
}

static int set_up(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_keep_all_but_the_blanks_around_them),
		cmocka_unit_test(long_values_come_back_whole),
		cmocka_unit_test(comments_and_blank_lines_are_skipped),
		cmocka_unit_test(an_indented_line_is_a_key_and_no_continuation),
		cmocka_unit_test(sections_are_all_there_even_empty_or_doubled),
		cmocka_unit_test(a_section_name_may_be_longer_than_inih_keeps),
		cmocka_unit_test(bad_syntax_is_refused_with_its_line),
		cmocka_unit_test(nul_bytes_are_refused_with_their_line),
		cmocka_unit_test(a_line_may_be_long_but_not_endless),
		cmocka_unit_test(keys_and_sections_are_checked_against_the_tables),
		cmocka_unit_test(repeated_keys_keep_their_order),
		cmocka_unit_test(includes_are_read_in_order_and_do_not_change_the_section),
		cmocka_unit_test(a_pattern_may_match_the_file_itself),
		cmocka_unit_test(bad_includes_are_refused_with_the_including_line),
		cmocka_unit_test(a_file_that_can_not_be_read_is_named),
		cmocka_unit_test(sizes_are_powers_of_1024_and_do_not_overflow),
		cmocka_unit_test(durations_are_nanoseconds),
		cmocka_unit_test(words_and_numbers_are_exact),
		cmocka_unit_test(relative_paths_start_at_the_file),
		cmocka_unit_test(the_tables_are_sound),
		cmocka_unit_test(the_example_shows_every_key_with_its_default),
		cmocka_unit_test(random_files_are_read_or_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
