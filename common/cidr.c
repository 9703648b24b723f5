/*
 * Lists of networks (CIDR, RFC 4632 and RFC 4291).
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cidr.h"

enum {
	ADDRESS_BYTES = 16,
	V4_PREFIX_BITS = 96, /* of ::ffff:0:0/96 */
	ITEM_MAX = INET6_ADDRSTRLEN + 4,
};

/* IPv4 as ::ffff:a.b.c.d, so that there is one kind. */
struct network {
	uint8_t address[ADDRESS_BYTES];
	unsigned bits;
};

struct cidr_list {
	size_t n;
	struct network v[CIDR_LIST_MAX];
};

static void map_v4(uint8_t out[ADDRESS_BYTES], const void *v4)
{
	memset(out, 0, ADDRESS_BYTES);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, v4, 4);
}

static bool address_parse(
	uint8_t out[ADDRESS_BYTES], const char *text, bool *is_v4)
{
	struct in_addr v4;

	*is_v4 = inet_pton(AF_INET, text, &v4) == 1;
	if (*is_v4)
		map_v4(out, &v4);
	return *is_v4 || inet_pton(AF_INET6, text, out) == 1;
}

static bool bits_parse(unsigned *bits, const char *text, unsigned max)
{
	unsigned n = 0;

	if (!*text || strlen(text) > 3)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
	}
	*bits = n;
	return n <= max;
}

static bool network_parse(struct network *net, char *text)
{
	char *slash = strchr(text, '/');
	bool is_v4;

	if (slash)
		*slash = '\0';
	if (!address_parse(net->address, text, &is_v4))
		return false;
	net->bits = is_v4 ? 32 : 128;
	if (slash && !bits_parse(&net->bits, slash + 1, net->bits))
		return false;
	if (is_v4)
		net->bits += V4_PREFIX_BITS;
	return true;
}

static int list_parse(struct cidr_list *l, const char *text)
{
	static const char between[] = ", \t";

	for (;;) {
		char item[ITEM_MAX + 1];
		size_t len;

		text += strspn(text, between);
		len = strcspn(text, between);
		if (!len)
			return 0;
		if (l->n == CIDR_LIST_MAX)
			return EMSGSIZE;
		if (len > ITEM_MAX)
			return EINVAL;
		memcpy(item, text, len);
		item[len] = '\0';
		if (!network_parse(&l->v[l->n], item))
			return EINVAL;
		l->n++;
		text += len;
	}
}

int cidr_list_alloc(struct cidr_list **lp, const char *text)
{
	struct cidr_list *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return ENOMEM;
	err = list_parse(l, text ? text : "");
	if (err) {
		cidr_list_free(l);
		return err;
	}
	*lp = l;
	return 0;
}

void cidr_list_free(struct cidr_list *l)
{
	free(l);
}

bool cidr_list_is_empty(const struct cidr_list *l)
{
	return !l->n;
}

static bool network_has(
	const struct network *net, const uint8_t address[ADDRESS_BYTES])
{
	const unsigned whole = net->bits / 8, rest = net->bits % 8;
	const unsigned mask = 0xffU << (8 - rest) & 0xffU;

	if (memcmp(net->address, address, whole))
		return false;
	return !rest || !((net->address[whole] ^ address[whole]) & mask);
}

static bool list_has(
	const struct cidr_list *l, const uint8_t address[ADDRESS_BYTES])
{
	for (size_t i = 0; i < l->n; i++)
		if (network_has(&l->v[i], address))
			return true;
	return false;
}

bool cidr_list_has(const struct cidr_list *l, const struct sockaddr *sa)
{
	uint8_t address[ADDRESS_BYTES];

	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		map_v4(address, &in.sin_addr);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		memcpy(address, &in6.sin6_addr, sizeof(address));
	} else {
		return false;
	}
	return list_has(l, address);
}

bool cidr_list_has_text(const struct cidr_list *l, const char *p, size_t len)
{
	char text[ITEM_MAX + 1];
	uint8_t address[ADDRESS_BYTES];
	bool is_v4;

	if (len > ITEM_MAX)
		return false;
	memcpy(text, p, len);
	text[len] = '\0';
	return address_parse(address, text, &is_v4) && list_has(l, address);
}
