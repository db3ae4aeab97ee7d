/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_uri.c - node URIs: what parses, to what, what is refused, and that printing is the inverse. */
#include "common/uri.h"

#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char reason[1024];

static const struct {
	const char *text;
	struct uri uri;
	const char *basename;
	const char *printed; /* NULL: the same as text */
} good[] = {
	{"dst://host/vol0", {URI_TCP, "host", 0, DST_PORT, "", "vol0"}, "vol0", NULL},
	{"DST://host/vol0", {URI_TCP, "host", 0, DST_PORT, "", "vol0"}, "vol0", "dst://host/vol0"},
	{"dst://host:10878/v", {URI_TCP, "host", 0, DST_PORT, "", "v"}, "v", "dst://host/v"},
	{"dst://192.0.2.1:1/v", {URI_TCP, "192.0.2.1", 0, 1, "", "v"}, "v", NULL},
	{"dst://a-b_c.example:65535/v", {URI_TCP, "a-b_c.example", 0, 65535, "", "v"}, "v", NULL},
	{"dst://[::1]/v", {URI_TCP, "::1", 0, DST_PORT, "", "v"}, "v", NULL},
	{"dst://[2001:db8::7]:22/v", {URI_TCP, "2001:db8::7", 0, 22, "", "v"}, "v", NULL},
	{"dst://[fe80::1%25eth0]/v", {URI_TCP, "fe80::1%eth0", 0, DST_PORT, "", "v"}, "v", NULL},
	{"dst://[fe80::1%eth0]:5/v",
	 {URI_TCP, "fe80::1%eth0", 0, 5, "", "v"},
	 "v",
	 "dst://[fe80::1%25eth0]:5/v"},
	{"dst://h/a/b", {URI_TCP, "h", 0, DST_PORT, "", "a/b"}, "b", NULL},
	{"dst://h/a%2Fb", {URI_TCP, "h", 0, DST_PORT, "", "a/b"}, "b", "dst://h/a/b"},
	{"dst://h/a%20b%25%3f",
	 {URI_TCP, "h", 0, DST_PORT, "", "a b%?"},
	 "a b%?",
	 "dst://h/a%20b%25%3F"},
	{"dst://h/gr\xc3\xbcn",
	 {URI_TCP, "h", 0, DST_PORT, "", "gr\xc3\xbcn"},
	 "gr\xc3\xbcn",
	 "dst://h/gr%C3%BCn"},
	{"dst://h/...", {URI_TCP, "h", 0, DST_PORT, "", "..."}, "...", NULL},
	{"dst+unix:///v?socket=/run/dstd.sock",
	 {URI_UNIX, "", 0, 0, "/run/dstd.sock", "v"},
	 "v",
	 NULL},
	{"dst+unix:///v%3Fx?socket=/a%26b", {URI_UNIX, "", 0, 0, "/a&b", "v?x"}, "v?x", NULL},
	{"dst+vsock://2/v", {URI_VSOCK, "", 2, DST_PORT, "", "v"}, "v", NULL},
	{"dst+vsock://4294967294:4294967294/v",
	 {URI_VSOCK, "", 4294967294u, 4294967294u, "", "v"},
	 "v",
	 NULL},
	{"file:///srv/vol0.img", {URI_FILE, "", 0, 0, "/srv/vol0.img", ""}, "vol0.img", NULL},
	{"file://localhost/dev/sda",
	 {URI_FILE, "", 0, 0, "/dev/sda", ""},
	 "sda",
	 "file:///dev/sda"},
	{"file:///a%20b+c", {URI_FILE, "", 0, 0, "/a b+c", ""}, "a b+c", NULL},
};

static void good_ones_parse_and_print(void **state)
{
	char text[URI_TEXT_MAX];
	struct uri uri, again;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(uri_looks_like(good[i].text));
		if (uri_parse(&uri, good[i].text, reason, sizeof(reason)))
			fail_msg("%s: %s", good[i].text, reason);
		assert_int_equal(uri.kind, good[i].uri.kind);
		assert_string_equal(uri.host, good[i].uri.host);
		assert_int_equal(uri.cid, good[i].uri.cid);
		assert_int_equal(uri.port, good[i].uri.port);
		assert_string_equal(uri.path, good[i].uri.path);
		assert_string_equal(uri.export_name, good[i].uri.export_name);
		assert_string_equal(uri_basename(&uri), good[i].basename);
		assert_string_equal(uri_print(&uri, text),
				    good[i].printed ? good[i].printed : good[i].text);
		assert_int_equal(uri_parse(&again, text, reason, sizeof(reason)), 0);
		assert_memory_equal(&again, &uri, sizeof(uri));
	}
}

static void bad_ones_are_refused_with_the_cause(void **state)
{
	static const struct {
		const char *text, *part;
	} bad[] = {
		{"", "no node"},
		{"/srv/vol0", "no node"},
		{"dst:/h/v", "no node"},
		{"file:/srv/v", "no node"},
		{"http://h/v", "no node"},
		{" dst://h/v", "no node"},
		{"dst://", "host is missing"},
		{"dst:///v", "host is missing"},
		{"dst://:1/v", "host is missing"},
		{"dst://h", "export is missing"},
		{"dst://h/", "name is missing"},
		{"dst://h/a/", "name is missing"},
		{"dst://h/.", "name is missing"},
		{"dst://h/a/..", "name is missing"},
		{"dst://h/%2e%2e", "name is missing"},
		{"dst://u@h/v", "no user"},
		{"dst://h:/v", "no port"},
		{"dst://h:0/v", "no port"},
		{"dst://h:65536/v", "no port"},
		{"dst://h:99999999999999999999/v", "no port"},
		{"dst://h:+1/v", "no port"},
		{"dst://h:1x/v", "no port"},
		{"dst://::1/v", "in brackets"},
		{"dst://[::1/v", "']' is missing"},
		{"dst://[]/v", "no IPv6"},
		{"dst://[1.2.3.4]/v", "no IPv6"},
		{"dst://[::1]x/v", "may follow"},
		{"dst://[fe80::1%]/v", "zone"},
		{"dst://[fe80::1%25a b]/v", "zone"},
		{"dst://h h/v", "no host"},
		{"dst://h%41/v", "no host"},
		{"dst://gr\xc3\xbcn/v", "no host"},
		{"dst://h/v?x=1", "write it as %3F"},
		{"dst://h/v#x", "write it as %23"},
		{"dst://h?x/v", "export is missing"},
		{"dst://h/v%", "no escape"},
		{"dst://h/v%4", "no escape"},
		{"dst://h/v%zz", "no escape"},
		{"dst://h/v%00", "control"},
		{"dst://h/v%0a", "control"},
		{"dst://h/v\n", "control"},
		{"dst://h/v%ff", "UTF-8"},
		{"dst+unix://h/v?socket=/s", "no host"},
		{"dst+unix:///v", "socket is missing"},
		{"dst+unix:///v?sock=/s", "socket is missing"},
		{"dst+unix:///v?socket=/s&x=1", "not alone"},
		{"dst+unix:///v?socket=s", "start with /"},
		{"dst+unix:///v?socket=", "start with /"},
		{"dst+unix:///?socket=/s", "name is missing"},
		{"dst+vsock:///v", "no vsock CID"},
		{"dst+vsock://x/v", "no vsock CID"},
		{"dst+vsock://4294967295/v", "no vsock CID"},
		{"dst+vsock://2:0/v", "no port"},
		{"dst+vsock://2:4294967295/v", "no port"},
		{"file://host/v", "no host"},
		{"file://", "path is missing"},
		{"file:///", "file's name"},
		{"file:///srv/", "file's name"},
		{"file:///srv/..", "file's name"},
		{"file:///a?b", "%3F"},
	};
	struct uri uri;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		*reason = '\0';
		if (!uri_parse(&uri, bad[i].text, reason, sizeof(reason)) ||
		    !strstr(reason, bad[i].part))
			fail_msg("%s gives: %s", bad[i].text, reason);
		assert_true(text_is_clean(reason));
	}
}

static void names_and_paths_are_bounded(void **state)
{
	static char text[2 * PATH_MAX];
	struct uri uri;

	strcpy(text, "dst://h/");
	memset(text + 8, 'v', DST_MAX_NAME);
	assert_int_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	text[8 + DST_MAX_NAME] = 'v';
	assert_int_not_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	memset(text, 0, sizeof(text));
	strcpy(text, "dst://");
	memset(text + 6, 'h', URI_HOST_MAX + 1);
	strcat(text, "/v");
	assert_int_not_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	memset(text, 0, sizeof(text));
	strcpy(text, "dst+unix:///v?socket=/");
	memset(text + 22, 's', 106);
	assert_int_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	text[22 + 106] = 's';
	assert_int_not_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	memset(text, 0, sizeof(text));
	strcpy(text, "file:///");
	memset(text + 8, 'p', PATH_MAX - 2);
	assert_int_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	text[8 + PATH_MAX - 2] = 'p';
	assert_int_not_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
}

/* The longest there is, all of it escaped, fits what uri_print() is given. */
static void the_longest_text_fits(void **state)
{
	static char text[URI_TEXT_MAX];
	struct uri uri = {.kind = URI_FILE}, again;

	memset(uri.path, ' ', sizeof(uri.path) - 1);
	uri.path[0] = '/';
	assert_int_equal(strlen(uri_print(&uri, text)), 7 + 1 + 3 * (PATH_MAX - 2));
	assert_int_equal(uri_parse(&again, text, reason, sizeof(reason)), 0);
	assert_string_equal(again.path, uri.path);
}

static void random_texts_parse_to_what_they_print(void **state)
{
	static const char *const pieces[] = {"dst://",    "dst+unix://", "dst+vsock://",
					     "file://",   "/",           "/",
					     "?socket=/", ":",           "[",
					     "]",         "::1",         "%",
					     "%25",       "%2",          "%00",
					     "a",         "host",        "1",
					     "10878",     ".",           "..",
					     "#",         "&",           "@",
					     "\xc3\xa4",  "\xff",        " ",
					     "localhost", "%C3%A4",      "%2F"};
	const size_t count = sizeof(pieces) / sizeof(pieces[0]);
	char text[512], printed[URI_TEXT_MAX];
	struct uri uri, again;
	uint64_t seed = 7;
	unsigned parsed = 0;

	for (unsigned run = 0; run < 300000; run++) {
		size_t size = (size_t)sprintf(text, "%s", pieces[run % 4]);

		for (unsigned i = 0; i < 1 + run % 9; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			size += (size_t)sprintf(text + size, "%s", pieces[(seed >> 33) % count]);
		}
		if (uri_parse(&uri, text, reason, sizeof(reason))) {
			assert_true(*reason && text_is_clean(reason));
			continue;
		}
		parsed++;
		if (uri_parse(&again, uri_print(&uri, printed), reason, sizeof(reason)) ||
		    memcmp(&again, &uri, sizeof(uri)) != 0)
			fail_msg("%s gives %s: %s", text, printed, reason);
		assert_string_not_equal(uri_basename(&uri), "");
		assert_null(strchr(uri_basename(&uri), '/'));
	}
	assert_true(parsed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_parse_and_print),
		cmocka_unit_test(bad_ones_are_refused_with_the_cause),
		cmocka_unit_test(names_and_paths_are_bounded),
		cmocka_unit_test(the_longest_text_fits),
		cmocka_unit_test(random_texts_parse_to_what_they_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
