/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acl.c - see acl.h */
#include "server/acl.h"

#include "common/proto.h"
#include "common/text.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS_MAX 5 /* of a rule: "unix uid 1000 ro" has 4; one more to see that it's too many */
#define RULE_TEXT_MAX 512 /* bytes of a rule */

enum subject { SUBJECT_NETWORK, SUBJECT_UNIX, SUBJECT_VSOCK };

struct acl_rule {
	struct acl_rule *next;
	enum subject subject;
	uint32_t permissions; /* DST_PERM_*; 0: denied */
	bool any; /* UNIX, VSOCK: every user, every machine */
	uint32_t id; /* UNIX: uid; VSOCK: cid */
	/* NETWORK: IPv4 is held as v4-mapped IPv6, its prefix lengthened by 96. */
	struct in6_addr network;
	unsigned prefix; /* bits */
};

static bool parse_number(const char *text, uint64_t most, uint32_t *number)
{
	uint64_t value = 0;

	if (!*text || strlen(text) > 10)
		return false;
	for (; isdigit((unsigned char)*text); text++)
		value = value * 10 + (uint64_t)(*text - '0');
	*number = (uint32_t)value;
	return !*text && value <= most;
}

static void map_v4(struct in6_addr *out, const struct in_addr *address)
{
	memset(out, 0, sizeof(*out));
	out->s6_addr[10] = out->s6_addr[11] = 0xff;
	memcpy(out->s6_addr + 12, address, 4);
}

static bool in_network(const struct in6_addr *address, const struct in6_addr *network,
		       unsigned prefix)
{
	unsigned bytes = prefix / 8, bits = prefix % 8;

	if (memcmp(address, network, bytes) != 0)
		return false;
	return !bits || !((address->s6_addr[bytes] ^ network->s6_addr[bytes]) >> (8 - bits));
}

/* Puts zeros behind the prefix. False: they were there already. */
static bool cut_to_prefix(struct in6_addr *address, unsigned prefix)
{
	bool changed = false;

	for (unsigned bit = prefix; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		changed |= (address->s6_addr[bit / 8] & mask) != 0;
		address->s6_addr[bit / 8] &= (uint8_t)~mask;
	}
	return changed;
}

/* "192.0.2.0/24", "2001:db8::/32", or one address. Changes text. */
static int parse_network(struct acl_rule *rule, char *text, const struct reason *reason)
{
	char *slash = strchr(text, '/'), right[INET6_ADDRSTRLEN];
	struct in_addr v4;
	uint32_t bits = 0;
	bool is_v4;

	if (slash)
		*slash = '\0';
	is_v4 = inet_pton(AF_INET, text, &v4) == 1;
	if (is_v4)
		map_v4(&rule->network, &v4);
	else if (inet_pton(AF_INET6, text, &rule->network) != 1)
		return text_refuse(reason,
				   "\"%.80s\" is no address; write ADDRESS, ADDRESS/BITS, "
				   "unix uid ID, vsock cid ID or @/FILE",
				   text);
	if (slash && !parse_number(slash + 1, is_v4 ? 32 : 128, &bits))
		return text_refuse(reason, "\"/%.80s\" is no prefix; write /0 to /%d", slash + 1,
				   is_v4 ? 32 : 128);
	rule->prefix = slash ? bits + (is_v4 ? 96 : 0) : 128;
	if (cut_to_prefix(&rule->network, rule->prefix)) {
		inet_ntop(is_v4 ? AF_INET : AF_INET6, rule->network.s6_addr + (is_v4 ? 12 : 0),
			  right, sizeof(right));
		return text_refuse(reason, "%.80s/%u has bits behind its prefix; write %s/%u", text,
				   bits, right, bits);
	}
	return 0;
}

/* "unix uid ID" and "vsock cid ID" */
static int parse_id(struct acl_rule *rule, char *const words[], const struct reason *reason)
{
	const struct passwd *user;

	rule->any = !strcmp(words[2], "*");
	if (rule->any || parse_number(words[2], UINT32_MAX - 1, &rule->id))
		return 0;
	if (rule->subject == SUBJECT_VSOCK)
		return text_refuse(reason, "\"%.80s\" is no CID; write a number or *", words[2]);
	user = getpwnam(words[2]);
	if (!user)
		return text_refuse(reason, "there is no user \"%.80s\"; write a uid, a name or *",
				   words[2]);
	rule->id = user->pw_uid;
	return 0;
}

/* Who: the first words, *used of them. */
static int parse_subject(struct acl_rule *rule, char *const words[], unsigned count, unsigned *used,
			 const struct reason *reason)
{
	static const struct {
		const char *words[2];
		enum subject subject;
	} kinds[] = {{{"unix", "uid"}, SUBJECT_UNIX}, {{"vsock", "cid"}, SUBJECT_VSOCK}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(words[0], kinds[i].words[0]) != 0)
			continue;
		if (count < 3 || strcmp(words[1], kinds[i].words[1]) != 0)
			return text_refuse(reason,
					   "\"%s\" goes on with \"%s ID\"; ID is a number or *",
					   kinds[i].words[0], kinds[i].words[1]);
		rule->subject = kinds[i].subject;
		*used = 3;
		return parse_id(rule, words, reason);
	}
	rule->subject = SUBJECT_NETWORK;
	*used = 1;
	return parse_network(rule, words[0], reason);
}

static int parse_rule(struct acl_rule *rule, bool allow, const char *text,
		      const struct reason *reason)
{
	char copy[RULE_TEXT_MAX + 1], *words[WORDS_MAX], *rest = copy, *word;
	unsigned count = 0, used = 0;
	int error;

	if (strlen(text) > RULE_TEXT_MAX)
		return text_refuse(reason, "the rule is too long; at most %d bytes fit",
				   RULE_TEXT_MAX);
	strcpy(copy, text);
	while (count < WORDS_MAX && (word = strsep(&rest, " \t")))
		if (*word)
			words[count++] = word;
	if (!count)
		return text_refuse(reason, "the rule is empty; write who%s",
				   allow ? " and rw or ro" : "");
	error = parse_subject(rule, words, count, &used, reason);
	if (error)
		return error;
	if (!allow)
		return used == count ? 0
				     : text_refuse(reason,
						   "\"%.80s\" is too much; a deny rule says who "
						   "and nothing else",
						   words[used]);
	if (used == count)
		return text_refuse(reason, "the rule doesn't say how; add rw or ro");
	if (used + 1 < count || (strcmp(words[used], "rw") != 0 && strcmp(words[used], "ro") != 0))
		return text_refuse(reason, "\"%.80s\" isn't understood; end the rule with rw or ro",
				   words[used + 1 < count ? used + 1 : used]);
	rule->permissions = DST_PERM_READ | (words[used][1] == 'w' ? DST_PERM_WRITE : 0);
	return 0;
}

/* Parses a rule and appends it at *end, which moves on. */
static int append(struct acl_rule ***end, bool allow, const char *text, const struct reason *reason)
{
	struct acl_rule *rule = calloc(1, sizeof(*rule));
	int error =
		rule ? parse_rule(rule, allow, text, reason) : text_refuse(reason, "out of memory");

	if (error) {
		free(rule);
		return error;
	}
	**end = rule;
	*end = &rule->next;
	return 0;
}

/* One line of a rule file: "allow RULE", "deny RULE", a comment or nothing. */
static int parse_line(struct acl_rule ***end, char *line, size_t size, const struct reason *reason)
{
	char *text;
	size_t verb;

	if (size && line[size - 1] == '\n')
		line[--size] = '\0';
	if (size && line[size - 1] == '\r')
		line[--size] = '\0';
	if (size > RULE_TEXT_MAX)
		return text_refuse(reason, "the line is too long; at most %d bytes fit",
				   RULE_TEXT_MAX);
	if (strlen(line) != size)
		return text_refuse(reason, "the line holds a NUL byte; write text");
	text = line + strspn(line, " \t");
	if (!*text || *text == '#' || *text == ';')
		return 0;
	verb = strcspn(text, " \t=");
	if ((verb != 5 || strncmp(text, "allow", 5) != 0) &&
	    (verb != 4 || strncmp(text, "deny", 4) != 0))
		return text_refuse(reason,
				   "\"%.80s\" is no rule; write allow WHO rw, allow WHO ro or "
				   "deny WHO",
				   text);
	if (text[verb] == '=' || text[verb + strspn(text + verb, " \t")] == '=')
		return text_refuse(reason, "no '=' stands here; write %.*s WHO", (int)verb, text);
	if (text[verb + strspn(text + verb, " \t")] == '@')
		return text_refuse(reason, "a rule file names no other one; write its rules here");
	return append(end, *text == 'a', text + verb, reason);
}

static int parse_lines(struct acl_rule ***end, FILE *file, const char *path,
		       const struct reason *reason)
{
	char *line = NULL, cause[RULE_TEXT_MAX + 256];
	unsigned number = 0;
	size_t capacity = 0;
	ssize_t size;
	int error = 0;

	while (!error && (size = getline(&line, &capacity, file)) >= 0) {
		number++;
		if (parse_line(end, line, (size_t)size, &(struct reason){cause, sizeof(cause)}))
			error = text_refuse(reason, "%s:%u: %s", path, number, cause);
	}
	if (!error && !feof(file))
		error = text_refuse(reason, "%s can't be read: %s", path, strerror(errno));
	free(line);
	return error;
}

/* An empty file would mean "no rule", which lets loopback in: surely not what was meant. */
static int parse_file(struct acl_rule ***end, const char *path, const struct reason *reason)
{
	struct acl_rule **begin = *end;
	struct stat status;
	FILE *file;
	int error;

	if (*path != '/')
		return text_refuse(reason, "the rule file's path must start with /; write @/PATH");
	file = fopen(path, "re");
	if (!file)
		return text_refuse(reason, "%s: %s", path, strerror(errno));
	if (fstat(fileno(file), &status) || !S_ISREG(status.st_mode))
		error = text_refuse(reason, "%s is no regular file; name a file of rules", path);
	else
		error = parse_lines(end, file, path, reason);
	if (!error && !*begin)
		error = text_refuse(
			reason, "%s holds no rule; write at least one, like deny 0.0.0.0/0", path);
	fclose(file);
	return error;
}

int acl_parse(struct acl_rule **rules, bool allow, const char *text, char *reason_text,
	      size_t reason_size)
{
	const struct reason reason = {reason_text, reason_size};
	struct acl_rule **end = rules;
	int error;

	while (*end)
		end = &(*end)->next;
	rules = end;
	text += strspn(text, " \t");
	if (*text != '@')
		return append(&end, allow, text, &reason);
	if (!allow)
		return text_refuse(&reason,
				   "a rule file has rules of both kinds; write allow = @/FILE");
	error = parse_file(&end, text + 1, &reason);
	if (error)
		acl_free(rules);
	return error;
}

void acl_free(struct acl_rule **rules)
{
	struct acl_rule *rule;

	while ((rule = *rules)) {
		*rules = rule->next;
		free(rule);
	}
}

/* What a rule compares with, from what the kernel told. False: no such kind of peer is known. */
static bool describe_peer(const struct acl_peer *peer, enum subject *subject, uint32_t *id,
			  struct in6_addr *address)
{
	const struct sockaddr_storage *storage = &peer->address.address;

	switch (storage->ss_family) {
	case AF_INET:
		*subject = SUBJECT_NETWORK;
		map_v4(address, &((const struct sockaddr_in *)storage)->sin_addr);
		return true;
	case AF_INET6:
		*subject = SUBJECT_NETWORK;
		*address = ((const struct sockaddr_in6 *)storage)->sin6_addr;
		return true;
	case AF_UNIX:
		*subject = SUBJECT_UNIX;
		*id = peer->uid;
		return true;
	case AF_VSOCK:
		*subject = SUBJECT_VSOCK;
		*id = ((const struct sockaddr_vm *)storage)->svm_cid;
		return true;
	default:
		return false;
	}
}

/* Nobody said who may: this machine, and over the unix socket its root and ourselves. */
static uint32_t check_default(enum subject subject, uint32_t id, const struct in6_addr *address)
{
	static const struct in6_addr v4_loopback = {
		.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127}};
	bool allowed = false;

	switch (subject) {
	case SUBJECT_NETWORK:
		allowed = IN6_IS_ADDR_LOOPBACK(address) || in_network(address, &v4_loopback, 104);
		break;
	case SUBJECT_UNIX:
		allowed = id == 0 || id == geteuid();
		break;
	case SUBJECT_VSOCK:
		break;
	}
	return allowed ? DST_PERM_READ | DST_PERM_WRITE : 0;
}

static bool rule_matches(const struct acl_rule *rule, enum subject subject, uint32_t id,
			 const struct in6_addr *address)
{
	if (rule->subject != subject)
		return false;
	if (subject != SUBJECT_NETWORK)
		return rule->any || rule->id == id;
	/* ::/0 is every IPv6 address; IPv4 ones only look like some. */
	if (rule->prefix < 96 && IN6_IS_ADDR_V4MAPPED(address))
		return false;
	return in_network(address, &rule->network, rule->prefix);
}

uint32_t acl_check(const struct acl_rule *rules, const struct acl_peer *peer)
{
	struct in6_addr address = IN6ADDR_ANY_INIT;
	enum subject subject;
	uint32_t id = 0;

	if (!describe_peer(peer, &subject, &id, &address))
		return 0;
	if (!rules)
		return check_default(subject, id, &address);
	for (; rules; rules = rules->next)
		if (rule_matches(rules, subject, id, &address))
			return rules->permissions;
	return 0;
}
