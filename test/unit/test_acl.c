/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_acl.c - rules: which parse, whom they let in, and what happens without any. */
#include "server/acl.h"

#include "common/proto.h"
#include "common/text.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define NO 0u
#define RO DST_PERM_READ
#define RW (DST_PERM_READ | DST_PERM_WRITE)

static char reason[8192];

/* "192.0.2.1", "2001:db8::1", "uid 1000", "cid 3" */
static struct acl_peer peer_of(const char *text)
{
	struct acl_peer peer = {.uid = (uid_t)-1};
	struct sockaddr_in *v4 = (void *)&peer.address.address;
	struct sockaddr_in6 *v6 = (void *)&peer.address.address;
	struct sockaddr_vm *vsock = (void *)&peer.address.address;

	if (!strncmp(text, "uid ", 4)) {
		peer.address.address.ss_family = AF_UNIX;
		peer.uid = (uid_t)strtoul(text + 4, NULL, 10);
	} else if (!strncmp(text, "cid ", 4)) {
		vsock->svm_family = AF_VSOCK;
		vsock->svm_cid = (unsigned)strtoul(text + 4, NULL, 10);
	} else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		v6->sin6_family = AF_INET6;
	}
	return peer;
}

static void check(const struct acl_rule *rules, const char *who, uint32_t permissions)
{
	const struct acl_peer peer = peer_of(who);
	uint32_t given = acl_check(rules, &peer);

	if (given != permissions)
		fail_msg("%s gets %u, not %u", who, given, permissions);
}

static void add(struct acl_rule **rules, const char *rule)
{
	bool allow = strncmp(rule, "deny ", 5) != 0;

	if (acl_parse(rules, allow, allow ? rule : rule + 5, reason, sizeof(reason)))
		fail_msg("%s: %s", rule, reason);
}

static void without_rules_this_machine_is_let_in(void **state)
{
	char own[32];

	snprintf(own, sizeof(own), "uid %u", geteuid());
	check(NULL, "127.0.0.1", RW);
	check(NULL, "127.255.0.9", RW);
	check(NULL, "::1", RW);
	check(NULL, "::ffff:127.0.0.1", RW);
	check(NULL, "uid 0", RW);
	check(NULL, own, RW);
	if (geteuid() == 0) { /* root is one thing, the server's own user another */
		assert_int_equal(seteuid(4243), 0);
		check(NULL, "uid 0", RW);
		check(NULL, "uid 4243", RW);
		assert_int_equal(seteuid(0), 0);
	}
	check(NULL, "uid 4242", NO);
	check(NULL, "126.255.255.255", NO);
	check(NULL, "128.0.0.1", NO);
	check(NULL, "::2", NO);
	check(NULL, "::ffff:192.0.2.1", NO);
	check(NULL, "::127.0.0.1", NO);
	check(NULL, "cid 1", NO);
}

static void networks_match_to_the_bit(void **state)
{
	struct acl_rule *rules = NULL;

	add(&rules, "192.0.2.0/25 rw");
	add(&rules, "198.51.100.7 ro");
	add(&rules, "2001:db8::/33 rw");
	add(&rules, "2001:db8:ffff::1 ro");
	add(&rules, "10.0.0.0/31 ro");
	check(rules, "192.0.2.0", RW);
	check(rules, "192.0.2.127", RW);
	check(rules, "192.0.2.128", NO);
	check(rules, "192.0.1.255", NO);
	check(rules, "198.51.100.7", RO);
	check(rules, "198.51.100.6", NO);
	check(rules, "2001:db8:7fff::1", RW);
	check(rules, "2001:db8:8000::1", NO);
	check(rules, "2001:db8:ffff::1", RO);
	check(rules, "2001:db8:ffff::2", NO);
	check(rules, "10.0.0.1", RO);
	check(rules, "10.0.0.2", NO);
	check(rules, "127.0.0.1", NO); /* the defaults hold without rules only */
	check(rules, "uid 0", NO);
	acl_free(&rules);
	assert_null(rules);
}

static void an_ipv4_client_is_the_same_on_an_ipv6_socket(void **state)
{
	struct acl_rule *rules = NULL;

	add(&rules, "192.0.2.0/24 rw");
	add(&rules, "::ffff:198.51.100.0/120 ro");
	check(rules, "::ffff:192.0.2.9", RW);
	check(rules, "192.0.2.9", RW);
	check(rules, "::ffff:198.51.100.9", RO);
	check(rules, "198.51.100.9", RO);
	check(rules, "::192.0.2.9", NO);
	acl_free(&rules);
	add(&rules, "::/0 ro");
	check(rules, "2001:db8::1", RO);
	check(rules, "::ffff:192.0.2.9", NO);
	check(rules, "192.0.2.9", NO);
	acl_free(&rules);
	add(&rules, "0.0.0.0/0 ro");
	check(rules, "::ffff:192.0.2.9", RO);
	check(rules, "2001:db8::1", NO);
	check(rules, "::1", NO);
	acl_free(&rules);
}

static void the_first_match_decides(void **state)
{
	struct acl_rule *rules = NULL;

	add(&rules, "deny 192.0.2.7");
	add(&rules, "192.0.2.8 ro");
	add(&rules, "192.0.2.0/24 rw");
	add(&rules, "deny 0.0.0.0/0");
	check(rules, "192.0.2.7", NO);
	check(rules, "192.0.2.8", RO);
	check(rules, "192.0.2.9", RW);
	check(rules, "203.0.113.1", NO);
	acl_free(&rules);
}

static void users_and_machines_match_their_own_sockets_only(void **state)
{
	struct acl_rule *rules = NULL;

	add(&rules, "unix uid 1000 ro");
	add(&rules, "unix  uid\troot rw");
	add(&rules, "vsock cid 3 rw");
	check(rules, "uid 1000", RO);
	check(rules, "uid 1001", NO);
	check(rules, "uid 0", RW);
	check(rules, "cid 3", RW);
	check(rules, "cid 1000", NO);
	check(rules, "0.0.3.232", NO);
	acl_free(&rules);
	add(&rules, "deny unix uid 7");
	add(&rules, "unix uid * ro");
	add(&rules, "vsock cid * rw");
	check(rules, "uid 7", NO);
	check(rules, "uid 8", RO);
	check(rules, "cid 8", RW);
	check(rules, "127.0.0.1", NO);
	acl_free(&rules);
}

static void an_unknown_family_is_denied(void **state)
{
	struct acl_rule *rules = NULL;
	struct acl_peer peer = {.uid = 0};

	peer.address.address.ss_family = AF_PACKET;
	assert_int_equal(acl_check(NULL, &peer), NO);
	add(&rules, "0.0.0.0/0 rw");
	add(&rules, "unix uid * rw");
	assert_int_equal(acl_check(rules, &peer), NO);
	acl_free(&rules);
}

static void bad_rules_are_refused_with_the_cause(void **state)
{
	static const struct {
		bool allow;
		const char *rule, *part;
	} bad[] = {
		{true, "", "empty"},
		{true, "192.0.2.0/24", "add rw or ro"},
		{true, "192.0.2.0/24 rx", "end the rule with rw or ro"},
		{true, "192.0.2.0/24 rw ro", "\"ro\" isn't understood"},
		{true, "192.0.2.0/33 rw", "/0 to /32"},
		{true, "192.0.2.0/-1 rw", "/0 to /32"},
		{true, "192.0.2.0/ rw", "/0 to /32"},
		{true, "2001:db8::/129 rw", "/0 to /128"},
		{true, "192.0.2.7/24 rw", "write 192.0.2.0/24"},
		{true, "2001:db8::1/32 rw", "write 2001:db8::/32"},
		{true, "192.0.2 rw", "no address"},
		{true, "host.example rw", "no address"},
		{true, "fe80::1%eth0 rw", "no address"},
		{true, "* rw", "no address"},
		{true, "rw", "no address"},
		{true, "unix rw", "uid ID"},
		{true, "unix gid 5 rw", "uid ID"},
		{true, "unix uid rw", "no user"},
		{true, "unix uid", "uid ID"},
		{true, "unix uid -1 rw", "no user"},
		{true, "unix uid 4294967295 rw", "no user"},
		{true, "unix uid nobody-of-this-name rw", "no user"},
		{true, "vsock cid x rw", "no CID"},
		{true, "unix uid 5 rw please", "isn't understood"},
		{false, "192.0.2.0/24 rw", "too much"},
		{false, "@/etc/rules", "both kinds"},
		{true, "@rules", "start with /"},
		{true, "@/nonexistent/rules", "/nonexistent/rules: No such file"},
		{true, "@/tmp", "no regular file"},
		{true, "@/dev/zero", "no regular file"},
	};
	struct acl_rule *rules = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		*reason = '\0';
		if (!acl_parse(&rules, bad[i].allow, bad[i].rule, reason, sizeof(reason)) ||
		    !strstr(reason, bad[i].part))
			fail_msg("%s gives: %s", bad[i].rule, reason);
		assert_true(text_is_clean(reason));
		assert_null(rules);
	}
}

static void write_rules(char *path, const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void a_rule_file_is_read_in_its_place(void **state)
{
	char path[] = "/tmp/dstfs-test-acl.XXXXXX", rule[64];
	struct acl_rule *rules = NULL;
	int fd = mkstemp(path);

	static const char text[] = "# ours\r\n\n  allow 192.0.2.0/24 ro\r\n\tdeny 198.51.100.1\n"
				   "; not theirs\nallow unix uid 5 rw";

	assert_true(fd >= 0);
	close(fd);
	write_rules(path, text, sizeof(text) - 1);
	snprintf(rule, sizeof(rule), "@%s", path);
	add(&rules, "192.0.2.1 rw");
	add(&rules, rule);
	add(&rules, "0.0.0.0/0 rw");
	check(rules, "192.0.2.1", RW);
	check(rules, "192.0.2.2", RO);
	check(rules, "198.51.100.1", NO);
	check(rules, "198.51.100.2", RW);
	check(rules, "uid 5", RW);
	acl_free(&rules);
	unlink(path);
}

static void a_bad_rule_file_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text;
		size_t size; /* 0: up to the NUL */
		const char *part;
	} bad[] = {
		{"", 0, "holds no rule"},
		{"# nothing\n\n", 0, "holds no rule"},
		{"deny ::1\nallow 192.0.2.0/24\n", 0, ":2: the rule doesn't say how"},
		{"allow = 192.0.2.0/24 rw\n", 0, ":1: no '=' stands here"},
		{"allow=192.0.2.0/24 rw\n", 0, ":1: no '=' stands here"},
		{"permit 192.0.2.0/24 rw\n", 0, ":1: \"permit"},
		{"192.0.2.0/24 rw\n", 0, ":1: \"192.0.2.0/24 rw\" is no rule"},
		{"\nallow @/etc/other\n", 0, ":2: a rule file names no other"},
		{"deny\n", 0, ":1: the rule is empty"},
		{"deny 192.0.2.1\0\n", 17, ":1: the line holds a NUL"},
		{"deny 192.0.2.1\0", 15, ":1: the line holds a NUL"},
	};
	char path[] = "/tmp/dstfs-test-acl.XXXXXX", rule[64], text[2000];
	struct acl_rule *rules = NULL;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	snprintf(rule, sizeof(rule), "@%s", path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_rules(path, bad[i].text, bad[i].size ? bad[i].size : strlen(bad[i].text));
		if (!acl_parse(&rules, true, rule, reason, sizeof(reason)) ||
		    !strstr(reason, bad[i].part))
			fail_msg("%s gives: %s", bad[i].text, reason);
		assert_null(rules);
	}
	memset(text, ' ', sizeof(text));
	write_rules(path, text, sizeof(text));
	assert_int_not_equal(acl_parse(&rules, true, rule, reason, sizeof(reason)), 0);
	assert_non_null(strstr(reason, ":1: the line is too long"));
	unlink(path);
}

/* A failing file takes back what it added, and nothing else. */
static void a_refused_file_leaves_the_rules_before_it(void **state)
{
	char path[] = "/tmp/dstfs-test-acl.XXXXXX", rule[64];
	struct acl_rule *rules = NULL;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	write_rules(path, "allow 192.0.2.2 rw\nx\n", 21);
	snprintf(rule, sizeof(rule), "@%s", path);
	add(&rules, "192.0.2.1 rw");
	assert_int_not_equal(acl_parse(&rules, true, rule, reason, sizeof(reason)), 0);
	check(rules, "192.0.2.1", RW);
	check(rules, "192.0.2.2", NO);
	acl_free(&rules);
	unlink(path);
}

/* Against a matcher that knows bits only: every prefix length, addresses that differ in one bit. */
static void every_prefix_length_is_right(void **state)
{
	char text[INET6_ADDRSTRLEN + 16], who[INET6_ADDRSTRLEN];

	for (unsigned prefix = 0; prefix <= 128; prefix++) {
		struct in6_addr base = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8}}, peer;
		struct acl_rule *rules = NULL;

		for (unsigned bit = prefix; bit < 128; bit++)
			base.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		inet_ntop(AF_INET6, &base, who, sizeof(who));
		snprintf(text, sizeof(text), "%s/%u ro", who, prefix);
		add(&rules, text);
		for (unsigned bit = 0; bit < 128; bit++) {
			peer = base;
			peer.s6_addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			inet_ntop(AF_INET6, &peer, who, sizeof(who));
			check(rules, who, bit >= prefix ? RO : NO);
		}
		acl_free(&rules);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_this_machine_is_let_in),
		cmocka_unit_test(networks_match_to_the_bit),
		cmocka_unit_test(an_ipv4_client_is_the_same_on_an_ipv6_socket),
		cmocka_unit_test(the_first_match_decides),
		cmocka_unit_test(users_and_machines_match_their_own_sockets_only),
		cmocka_unit_test(an_unknown_family_is_denied),
		cmocka_unit_test(bad_rules_are_refused_with_the_cause),
		cmocka_unit_test(a_rule_file_is_read_in_its_place),
		cmocka_unit_test(a_bad_rule_file_is_refused_with_its_line),
		cmocka_unit_test(a_refused_file_leaves_the_rules_before_it),
		cmocka_unit_test(every_prefix_length_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
