/*
 * Sources out of addresses; app.source() does the same in SQL.
 */
#include "common/source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define KEY_IPV4 (UINT64_C(1) << 63)

static uint64_t bytes_key(const uint8_t *p, size_t n)
{
	uint64_t key = 0;

	while (n--)
		key = key << 8 | *p++;

	return key;
}

static const uint8_t *in6_bytes(const struct sockaddr *sa)
{
	return ((const struct sockaddr_in6 *)(const void *)sa)
		->sin6_addr.s6_addr;
}

/** A number for a source, 0 only for what is no IP address. IPv4 is mapped
 * above all networks of IPv6 that are in use. */
uint64_t source_key(const struct sockaddr *sa)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const uint8_t *in6;
	uint64_t key;

	if (sa->sa_family == AF_INET) {
		const struct in_addr *in =
			&((const struct sockaddr_in *)(const void *)sa)
				 ->sin_addr;

		return KEY_IPV4 | ntohl(in->s_addr);
	}
	if (sa->sa_family != AF_INET6)
		return 0;

	in6 = in6_bytes(sa);
	if (!memcmp(in6, mapped, sizeof(mapped)))
		return KEY_IPV4 | bytes_key(in6 + 12, 4);
	key = bytes_key(in6, 8);

	return key ? key : 1;
}

/** A place for a key in a table, quickly: for who does not know the secret, and
 * does not see what shares a place, nothing follows from it. */
uint64_t source_mix(uint64_t key, uint64_t secret)
{
	uint64_t x = key ^ secret;

	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);

	return x ^ x >> 31;
}

/** A source in words, empty for what is no IP address */
void source_text(char text[static SOURCE_SIZE], const struct sockaddr *sa)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct in6_addr net = {.s6_addr = {0}};

	text[0] = '\0';
	if (sa->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET,
				&((const struct sockaddr_in *)(const void *)sa)
					 ->sin_addr,
				text, SOURCE_SIZE);
	} else if (sa->sa_family == AF_INET6) {
		const uint8_t *in6 = in6_bytes(sa);

		if (!memcmp(in6, mapped, sizeof(mapped))) {
			(void)inet_ntop(AF_INET, in6 + 12, text, SOURCE_SIZE);
			return;
		}
		memcpy(net.s6_addr, in6, 8);
		(void)inet_ntop(AF_INET6, &net, text, SOURCE_SIZE);
	}
}

/** The same of an address in words; what is none stays as it is */
void source_of_text(char text[static SOURCE_SIZE], const char *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		source_text(text, (const struct sockaddr *)&in);
	else if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1)
		source_text(text, (const struct sockaddr *)&in6);
	else
		(void)snprintf(text, SOURCE_SIZE, "%s", address);
}
