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

/* Of an export's name and its hosts. */
#define TCP(name, ...)                                                                             \
	{                                                                                          \
		.kind = URI_TCP, .export_name = name, .hosts = {__VA_ARGS__},                      \
		.host_count = sizeof((struct uri_host[]){__VA_ARGS__}) / sizeof(struct uri_host)   \
	}

static const struct {
	const char *text;
	struct uri uri;
	const char *basename;
	const char *printed; /* NULL: the same as text */
} good[] = {
	{"dst://host/vol0", TCP("vol0", {"host", DST_PORT}), "vol0", NULL},
	{"DST://host/vol0", TCP("vol0", {"host", DST_PORT}), "vol0", "dst://host/vol0"},
	{"dst://host:10878/v", TCP("v", {"host", DST_PORT}), "v", "dst://host/v"},
	{"dst://192.0.2.1:1/v", TCP("v", {"192.0.2.1", 1}), "v", NULL},
	{"dst://a-b_c.example:65535/v", TCP("v", {"a-b_c.example", 65535}), "v", NULL},
	{"dst://[::1]/v", TCP("v", {"::1", DST_PORT}), "v", NULL},
	{"dst://[2001:db8::7]:22/v", TCP("v", {"2001:db8::7", 22}), "v", NULL},
	{"dst://[fe80::1%25eth0]/v", TCP("v", {"fe80::1%eth0", DST_PORT}), "v", NULL},
	{"dst://[fe80::1%eth0]:5/v", TCP("v", {"fe80::1%eth0", 5}), "v",
	 "dst://[fe80::1%25eth0]:5/v"},
	{"dst://h/a/b", TCP("a/b", {"h", DST_PORT}), "b", NULL},
	{"dst://h/a%2Fb", TCP("a/b", {"h", DST_PORT}), "b", "dst://h/a/b"},
	{"dst://h/a%20b%25%3f", TCP("a b%?", {"h", DST_PORT}), "a b%?", "dst://h/a%20b%25%3F"},
	{"dst://h/gr\xc3\xbcn", TCP("gr\xc3\xbcn", {"h", DST_PORT}), "gr\xc3\xbcn",
	 "dst://h/gr%C3%BCn"},
	{"dst://h/...", TCP("...", {"h", DST_PORT}), "...", NULL},
	{"dst://a,b:1234,[::1]:99/vol0", TCP("vol0", {"a", DST_PORT}, {"b", 1234}, {"::1", 99}),
	 "vol0", NULL},
	{"dst://[::1],[fe80::1%eth0],h:10878/v,w",
	 TCP("v,w", {"::1", DST_PORT}, {"fe80::1%eth0", DST_PORT}, {"h", DST_PORT}), "v,w",
	 "dst://[::1],[fe80::1%25eth0],h/v%2Cw"},
	{"dst://a,b,c,d,e,f,g,h/v",
	 TCP("v", {"a", DST_PORT}, {"b", DST_PORT}, {"c", DST_PORT}, {"d", DST_PORT},
	     {"e", DST_PORT}, {"f", DST_PORT}, {"g", DST_PORT}, {"h", DST_PORT}),
	 "v", NULL},
	{"dst+unix:///v?socket=/run/dstd.sock",
	 {.kind = URI_UNIX, .path = "/run/dstd.sock", .export_name = "v"},
	 "v",
	 NULL},
	{"dst+unix:///v%3Fx?socket=/a%26b",
	 {.kind = URI_UNIX, .path = "/a&b", .export_name = "v?x"},
	 "v?x",
	 NULL},
	{"dst+vsock://2/v",
	 {.kind = URI_VSOCK, .cid = 2, .port = DST_PORT, .export_name = "v"},
	 "v",
	 NULL},
	{"dst+vsock://4294967294:4294967294/v",
	 {.kind = URI_VSOCK, .cid = 4294967294u, .port = 4294967294u, .export_name = "v"},
	 "v",
	 NULL},
	{"file:///srv/vol0.img", {.kind = URI_FILE, .path = "/srv/vol0.img"}, "vol0.img", NULL},
	{"file://localhost/dev/sda",
	 {.kind = URI_FILE, .path = "/dev/sda"},
	 "sda",
	 "file:///dev/sda"},
	{"file:///a%20b+c", {.kind = URI_FILE, .path = "/a b+c"}, "a b+c", NULL},
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
		assert_int_equal(uri.host_count, good[i].uri.host_count);
		assert_memory_equal(uri.hosts, good[i].uri.hosts, sizeof(uri.hosts));
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
		{"dst://h,u@h/v", "no user"},
		{"dst://,/v", "host is missing"},
		{"dst://a,/v", "host is missing"},
		{"dst://,a/v", "host is missing"},
		{"dst://a,,b/v", "host is missing"},
		{"dst://a,:1/v", "host is missing"},
		{"dst://a, b/v", "no host"},
		{"dst://a:0,b/v", "no port"},
		{"dst://a,b:65536/v", "no port"},
		{"dst://a,::1/v", "in brackets"},
		{"dst://[::1,a]/v", "']' is missing"},
		{"dst://a,b,c,d,e,f,g,h,i/v", "at most 8"},
		{"dst+vsock://2,3/v", "no vsock CID"},
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

	uri = (struct uri){.kind = URI_TCP, .host_count = URI_HOSTS_MAX};
	for (unsigned i = 0; i < URI_HOSTS_MAX; i++) {
		memcpy(uri.hosts[i].name, "2001:db8:1111:2222:3333:4444:5555:6666%", 39);
		memset(uri.hosts[i].name + 39, 'e', URI_HOST_MAX - 39);
		uri.hosts[i].port = 65535;
	}
	memset(uri.export_name, ' ', DST_MAX_NAME);
	assert_int_equal(strlen(uri_print(&uri, text)),
			 6 + URI_HOSTS_MAX * (URI_HOST_MAX + 2 + 2 + 6) + URI_HOSTS_MAX - 1 + 1 +
				 3 * DST_MAX_NAME);
	assert_int_equal(uri_parse(&again, text, reason, sizeof(reason)), 0);
	assert_memory_equal(&again, &uri, sizeof(uri));
}

static void random_texts_parse_to_what_they_print(void **state)
{
	static const char *const pieces[] = {"dst://",
					     "dst+unix://",
					     "dst+vsock://",
					     "file://",
					     "/",
					     "/",
					     "?socket=/",
					     ":",
					     "[",
					     "]",
					     "::1",
					     "%",
					     "%25",
					     "%2",
					     "%00",
					     "a",
					     "host",
					     "1",
					     "10878",
					     ".",
					     "..",
					     "#",
					     "&",
					     "@",
					     "\xc3\xa4",
					     "\xff",
					     " ",
					     "localhost",
					     "%C3%A4",
					     "%2F",
					     ",",
					     ","};
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
