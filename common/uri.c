/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uri.c - see uri.h. The grammar is RFC 3986's, with RFC 6874's zones and RFC 8089's files. */
#include "common/uri.h"

#include "common/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static const struct {
	const char *scheme;
	enum uri_kind kind;
} schemes[] = {
	{"dst://", URI_TCP},
	{"dst+unix://", URI_UNIX},
	{"dst+vsock://", URI_VSOCK},
	{"file://", URI_FILE},
};

#define SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

static const char *find_scheme(const char *text, enum uri_kind *kind)
{
	for (size_t i = 0; i < SCHEMES; i++) {
		size_t size = strlen(schemes[i].scheme);

		if (strncasecmp(text, schemes[i].scheme, size) == 0) {
			*kind = schemes[i].kind;
			return text + size;
		}
	}
	return NULL;
}

bool uri_looks_like(const char *text)
{
	enum uri_kind kind;

	return find_scheme(text, &kind);
}

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* text[0..size), per cent escapes resolved, to out, whose capacity counts the final NUL. */
static int decode(char *out, size_t capacity, const char *text, size_t size, const char *what,
		  const struct reason *reason)
{
	size_t used = 0;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '%') {
			int high = size - i < 3 ? -1 : hex(text[i + 1]);
			int low = size - i < 3 ? -1 : hex(text[i + 2]);

			if (high < 0 || low < 0)
				return text_refuse(reason,
						   "'%%' in the %s is no escape; write %%25 for "
						   "'%%' itself",
						   what);
			c = (char)(high << 4 | low);
			i += 2;
		} else if (strchr("?#", c)) {
			return text_refuse(reason, "'%c' in the %s; write it as %%%02X", c, what,
					   c);
		}
		if (used == capacity - 1)
			return text_refuse(reason, "the %s is too long; at most %zu bytes fit",
					   what, capacity - 1);
		out[used++] = c;
	}
	out[used] = '\0';
	if (text_clean_length(out, used) < used)
		return text_refuse(reason, "the %s must be UTF-8 without control characters", what);
	return 0;
}

/* text[0..size) as a decimal number up to most. */
static bool parse_number(const char *text, size_t size, uint32_t most, uint32_t *number)
{
	uint64_t value = 0;

	if (!size || size > 10)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	*number = (uint32_t)value;
	return value <= most;
}

/* "[address]" or "[address%zone]"; the zone as such, or with its '%' escaped (RFC 6874). */
static int parse_bracketed(char *host, const char *text, size_t size, const struct reason *reason)
{
	static const char zone_characters[] = "abcdefghijklmnopqrstuvwxyz"
					      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	const char *end = text + size, *percent = memchr(text, '%', size), *zone = end;
	size_t address_size = percent ? (size_t)(percent - text) : size;
	struct in6_addr address;
	char *name;

	if (percent)
		zone = percent + (end - percent >= 3 && !strncmp(percent, "%25", 3) ? 3 : 1);
	if (address_size + (percent ? 1 + (size_t)(end - zone) : 0) > URI_HOST_MAX)
		return text_refuse(reason, "the host is too long; at most %d bytes fit",
				   URI_HOST_MAX);
	memcpy(host, text, address_size);
	host[address_size] = '\0';
	if (inet_pton(AF_INET6, host, &address) != 1)
		return text_refuse(
			reason, "[%.80s] is no IPv6 address; write one like [2001:db8::1]", host);
	if (!percent)
		return 0;
	host[address_size] = '%';
	name = host + address_size + 1;
	memcpy(name, zone, (size_t)(end - zone));
	name[end - zone] = '\0';
	if (!*name || name[strspn(name, zone_characters)])
		return text_refuse(reason, "the zone in [%.80s] is no interface's name", host);
	return 0;
}

static int parse_name(char *host, const char *text, size_t size, const struct reason *reason)
{
	if (size > URI_HOST_MAX)
		return text_refuse(reason, "the host is too long; at most %d bytes fit",
				   URI_HOST_MAX);
	for (size_t i = 0; i < size; i++)
		if (!isascii(text[i]) ||
		    (!isalnum((unsigned char)text[i]) && !strchr(".-_", text[i])))
			return text_refuse(reason, "%.*s is no host; write a name or an address",
					   (int)(size < 80 ? size : 80), text);
	memcpy(host, text, size);
	host[size] = '\0';
	return 0;
}

int uri_parse_port(uint32_t *port, uint32_t most, const char *text, size_t size, char *reason,
		   size_t reason_size)
{
	if (parse_number(text, size, most, port) && *port)
		return 0;
	return text_refuse(&(struct reason){reason, reason_size},
			   "\"%.*s\" is no port; write a number from 1 to %u",
			   (int)(size < 80 ? size : 80), text, most);
}

int uri_parse_host(char host[URI_HOST_MAX + 1], uint32_t *port, const char *text, size_t size,
		   char *reason_text, size_t reason_size)
{
	const struct reason reason = {reason_text, reason_size};
	const char *end = text + size, *stop;
	bool bracketed = size && *text == '[';
	int error;

	if (bracketed) {
		stop = memchr(text, ']', size);
		if (!stop)
			return text_refuse(&reason, "']' is missing behind the IPv6 address");
		error = parse_bracketed(host, text + 1, (size_t)(stop - text) - 1, &reason);
		stop++;
		if (!error && stop < end && *stop != ':')
			return text_refuse(&reason, "only :PORT may follow ']'");
	} else {
		stop = memchr(text, ':', size);
		if (stop && memrchr(text, ':', size) != stop)
			return text_refuse(&reason,
					   "%.*s has several colons; write an IPv6 address in "
					   "brackets, like [2001:db8::1]",
					   (int)(size < 80 ? size : 80), text);
		if (!stop)
			stop = end;
		error = parse_name(host, text, (size_t)(stop - text), &reason);
	}
	if (error)
		return error;
	*port = DST_PORT;
	if (stop == end)
		return 0;
	return uri_parse_port(port, UINT16_MAX, stop + 1, (size_t)(end - stop) - 1, reason_text,
			      reason_size);
}

int uri_parse_vsock(uint32_t *cid, uint32_t *port, const char *text, size_t size, char *reason_text,
		    size_t reason_size)
{
	const struct reason reason = {reason_text, reason_size};
	const char *colon = memchr(text, ':', size), *end = text + size;
	size_t cid_size = colon ? (size_t)(colon - text) : size;

	if (!parse_number(text, cid_size, UINT32_MAX - 1, cid))
		return text_refuse(&reason,
				   "\"%.*s\" is no vsock CID; write a number, 2 is the host",
				   (int)(cid_size < 80 ? cid_size : 80), text);
	*port = DST_PORT;
	if (!colon)
		return 0;
	return uri_parse_port(port, UINT32_MAX - 1, colon + 1, (size_t)(end - colon) - 1,
			      reason_text, reason_size);
}

/* "socket=/path", all that may stand behind '?'. */
static int parse_socket(struct uri *uri, const char *query, const struct reason *reason)
{
	static const char key[] = "socket=";
	int error;

	if (!query || strncmp(query, key, sizeof(key) - 1) != 0 || strchr(query, '&'))
		return text_refuse(reason, "the socket is missing or not alone; write "
					   "dst+unix:///EXPORT?socket=/PATH");
	query += sizeof(key) - 1;
	error = decode(uri->path, SOCKET_PATH_MAX + 1, query, strlen(query), "socket's path",
		       reason);
	if (!error && *uri->path != '/')
		return text_refuse(reason, "the socket's path must start with /");
	return error;
}

/* "host[:port]", one or more of them, with commas between. */
static int parse_hosts(struct uri *uri, const char *text, size_t size, const struct reason *reason)
{
	const char *end = text + size;

	if (memchr(text, '@', size))
		return text_refuse(reason, "no user can be named before the host");
	for (const char *stop;; text = stop + 1) {
		struct uri_host *host = &uri->hosts[uri->host_count];
		int error;

		stop = memchr(text, ',', (size_t)(end - text));
		if (!stop)
			stop = end;
		size = (size_t)(stop - text);
		if (uri->host_count == URI_HOSTS_MAX)
			return text_refuse(reason, "too many hosts; at most %d are tried in turn",
					   URI_HOSTS_MAX);
		if (!size || (*text == ':' && !memchr(text + 1, ':', size - 1)))
			return text_refuse(reason, "the host is missing; write dst://HOST/EXPORT");
		error = uri_parse_host(host->name, &host->port, text, size, reason->text,
				       reason->size);
		if (error)
			return error;
		uri->host_count++;
		if (stop == end)
			return 0;
	}
}

/* What stands between "//" and the next '/'. */
static int parse_authority(struct uri *uri, const char *text, size_t size,
			   const struct reason *reason)
{
	switch (uri->kind) {
	case URI_TCP:
		return parse_hosts(uri, text, size, reason);
	case URI_VSOCK:
		return uri_parse_vsock(&uri->cid, &uri->port, text, size, reason->text,
				       reason->size);
	case URI_UNIX:
		if (size)
			return text_refuse(reason, "a unix socket has no host; write "
						   "dst+unix:///EXPORT?socket=/PATH");
		return 0;
	case URI_FILE:
		if (size && (size != 9 || strncasecmp(text, "localhost", 9) != 0))
			return text_refuse(reason, "a file has no host; write file:///PATH");
		return 0;
	}
	return text_refuse(reason, "unknown scheme");
}

static int check_basename(const struct uri *uri, const struct reason *reason)
{
	const char *name = uri_basename(uri);

	if (*name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return 0;
	return text_refuse(reason,
			   uri->kind == URI_FILE
				   ? "the path doesn't end in a file's name; write file:///PATH"
				   : "the export's name is missing; write SCHEME://HOST/EXPORT");
}

int uri_parse(struct uri *uri, const char *text, char *reason_text, size_t reason_size)
{
	const struct reason reason = {reason_text, reason_size};
	const char *rest, *query = NULL;
	size_t size;
	int error;

	memset(uri, 0, sizeof(*uri));
	rest = find_scheme(text, &uri->kind);
	if (!rest)
		return text_refuse(&reason,
				   "\"%.80s\" is no node; write dst://HOST[:PORT]/EXPORT, "
				   "dst+unix:///EXPORT?socket=/PATH, "
				   "dst+vsock://CID[:PORT]/EXPORT or file:///PATH",
				   text);
	size = strcspn(rest, "/?#");
	error = parse_authority(uri, rest, size, &reason);
	if (error)
		return error;
	rest += size;
	if (*rest != '/')
		return text_refuse(&reason,
				   uri->kind == URI_FILE
					   ? "the path is missing; write file:///PATH"
					   : "the export is missing; write SCHEME://HOST/EXPORT");
	size = strlen(rest);
	if (uri->kind == URI_UNIX && strchr(rest, '?')) {
		query = strchr(rest, '?') + 1;
		size = (size_t)(query - rest) - 1;
	}
	if (uri->kind == URI_FILE)
		error = decode(uri->path, sizeof(uri->path), rest, size, "path", &reason);
	else
		error = decode(uri->export_name, sizeof(uri->export_name), rest + 1, size - 1,
			       "export's name", &reason);
	if (!error && uri->kind == URI_UNIX)
		error = parse_socket(uri, query, &reason);
	return error ? error : check_basename(uri, &reason);
}

/* Appends text, escaped but for characters that mean themselves wherever we put them. */
static char *encode(char *out, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (isascii(c) && (isalnum(c) || strchr("-._~/:@+=", c))) {
			*out++ = (char)c;
		} else {
			*out++ = '%';
			*out++ = digits[c >> 4];
			*out++ = digits[c & 15];
		}
	}
	*out = '\0';
	return out;
}

/* ":port", unless it is the one that is meant without. */
static char *print_port(char *out, uint32_t port)
{
	return port == DST_PORT ? out : out + sprintf(out, ":%u", port);
}

static char *print_host(char *out, const struct uri_host *host)
{
	if (strchr(host->name, ':'))
		out = stpcpy(encode(stpcpy(out, "["), host->name), "]");
	else
		out = stpcpy(out, host->name);
	return print_port(out, host->port);
}

const char *uri_print(const struct uri *uri, char text[URI_TEXT_MAX])
{
	char *out = text;

	switch (uri->kind) {
	case URI_TCP:
		out = stpcpy(out, "dst://");
		for (unsigned i = 0; i < uri->host_count; i++)
			out = print_host(i ? stpcpy(out, ",") : out, &uri->hosts[i]);
		encode(stpcpy(out, "/"), uri->export_name);
		break;
	case URI_UNIX:
		out = encode(stpcpy(out, "dst+unix:///"), uri->export_name);
		encode(stpcpy(out, "?socket="), uri->path);
		break;
	case URI_VSOCK:
		out = print_port(out + sprintf(out, "dst+vsock://%u", uri->cid), uri->port);
		encode(stpcpy(out, "/"), uri->export_name);
		break;
	case URI_FILE:
		encode(stpcpy(out, "file://"), uri->path);
		break;
	}
	return text;
}

const char *uri_basename(const struct uri *uri)
{
	const char *text = uri->kind == URI_FILE ? uri->path : uri->export_name;
	const char *slash = strrchr(text, '/');

	return slash ? slash + 1 : text;
}
