#include "common/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
	NETWORKS_MAX = 64,
	V4_BITS_BEFORE = 96, /* IPv4 as ::ffff:a.b.c.d, RFC 4291, 2.5.5.2 */
};

struct network {
	uint8_t addr[16];
	unsigned bits;
};

struct cidr_list {
	size_t count;
	struct network networks[NETWORKS_MAX];
};

static void map_v4(uint8_t out[static 16], const void *addr)
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, addr, 4);
}

static int parse_network(struct network *net, char *text)
{
	struct in_addr v4;
	char *slash = strchr(text, '/');
	char *end = NULL;
	unsigned long bits, max;

	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		map_v4(net->addr, &v4);
		max = 32;
	} else if (inet_pton(AF_INET6, text, net->addr) == 1) {
		max = 128;
	} else {
		return EINVAL;
	}
	bits = max;
	if (slash) {
		if (slash[1] < '0' || slash[1] > '9')
			return EINVAL;
		bits = strtoul(slash + 1, &end, 10);
		if (*end || bits > max)
			return EINVAL;
	}
	net->bits = (unsigned)(max == 32 ? bits + V4_BITS_BEFORE : bits);

	return 0;
}

/**
 * @param list  Set on success, owned by the caller: cidr_list_free()
 * @param text  Networks with commas or blanks between them; may be empty
 * @return  0, EINVAL for what is no list of networks, ENOMEM
 */
int cidr_list_parse(struct cidr_list **list, const char *text)
{
	struct cidr_list *l = calloc(1, sizeof(*l));
	int err = 0;

	if (!l)
		return ENOMEM;
	while (!err) {
		char one[64];
		size_t n;

		text += strspn(text, ", \t");
		n = strcspn(text, ", \t");
		if (n == 0)
			break;
		if (n >= sizeof(one) || l->count == NETWORKS_MAX) {
			err = EINVAL;
			break;
		}
		memcpy(one, text, n);
		one[n] = '\0';
		text += n;
		err = parse_network(&l->networks[l->count++], one);
	}
	if (err) {
		free(l);
		return err;
	}
	*list = l;

	return 0;
}

void cidr_list_free(struct cidr_list *list)
{
	free(list);
}

bool cidr_list_empty(const struct cidr_list *list)
{
	return list->count == 0;
}

static bool network_has(const struct network *net, const uint8_t *addr)
{
	const unsigned bytes = net->bits / 8;
	const uint8_t mask = (uint8_t)(0xff00u >> net->bits % 8);

	return !memcmp(net->addr, addr, bytes) &&
	       (net->bits % 8 == 0 ||
		!((net->addr[bytes] ^ addr[bytes]) & mask));
}

/** @return  Whether the address, IPv4 or IPv6, is in one of the networks */
bool cidr_list_match(const struct cidr_list *list, const struct sockaddr *sa)
{
	uint8_t addr[16];

	if (sa->sa_family == AF_INET)
		map_v4(addr, &((const struct sockaddr_in *)(const void *)sa)
				      ->sin_addr);
	else if (sa->sa_family == AF_INET6)
		memcpy(addr,
		       &((const struct sockaddr_in6 *)(const void *)sa)
				->sin6_addr,
		       sizeof(addr));
	else
		return false;
	for (size_t i = 0; i < list->count; i++) {
		if (network_has(&list->networks[i], addr))
			return true;
	}

	return false;
}
