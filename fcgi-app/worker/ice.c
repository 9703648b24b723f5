#include "worker/ice.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_write.h"
#include "common/secret.h"

enum {
	ICE_SERVERS_MAX = 8, /* browsers try them all, and warn from five on */
	ICE_URL_MAX = 255,   /* bytes */
	ICE_PORT_MAX = 65535,
	ICE_PORT_DIGITS = 5,
	ICE_USER_SIZE = 400, /* a time, a colon and an email */
};

static bool starts(const char *p, size_t n, const char *with)
{
	const size_t len = strlen(with);

	return n >= len && !strncmp(p, with, len);
}

static bool is_turn(const char *p, size_t n)
{
	return starts(p, n, "turn:") || starts(p, n, "turns:");
}

/* @return  The bytes of a host: a name, an IPv4 address or [IPv6]; 0: none */
static size_t host_len(const char *p, size_t n)
{
	size_t i = 0;

	if (n && p[0] == '[') {
		for (i = 1; i < n && (isxdigit((unsigned char)p[i]) ||
				      p[i] == ':' || p[i] == '.');)
			i++;
		return i > 1 && i < n && p[i] == ']' ? i + 1 : 0;
	}
	while (i < n &&
	       (isalnum((unsigned char)p[i]) || p[i] == '-' || p[i] == '.'))
		i++;
	return i;
}

/* @return  The bytes of a colon and a port; 0: none */
static size_t port_len(const char *p, size_t n)
{
	char text[ICE_PORT_DIGITS + 1] = "";
	size_t i = 1;
	long port;

	while (i < n && isdigit((unsigned char)p[i]))
		i++;
	if (i == 1 || i - 1 > ICE_PORT_DIGITS)
		return 0;
	memcpy(text, p + 1, i - 1);
	port = strtol(text, NULL, 10);
	return port >= 1 && port <= ICE_PORT_MAX ? i : 0;
}

static bool is_url(const char *p, size_t n)
{
	const bool turn = is_turn(p, n);
	size_t at, len;

	if (n > ICE_URL_MAX ||
	    (!turn && !starts(p, n, "stun:") && !starts(p, n, "stuns:")))
		return false;
	at = strcspn(p, ":") + 1;
	len = host_len(p + at, n - at);
	if (!len)
		return false;
	at += len;
	if (at < n && p[at] == ':') {
		len = port_len(p + at, n - at);
		if (!len)
			return false;
		at += len;
	}
	if (at == n)
		return true;
	return turn && ((n - at == strlen("?transport=udp") &&
			 starts(p + at, n - at, "?transport=udp")) ||
			(n - at == strlen("?transport=tcp") &&
			 starts(p + at, n - at, "?transport=tcp")));
}

int ice_check(const struct config *c, char why[static CONFIG_WHY_SIZE])
{
	const char *p = c->media.ice_servers;
	size_t n, servers = 0;

	while ((n = config_item(&p))) {
		const char *url = p - n;

		if (!is_url(url, n)) {
			(void)snprintf(why, CONFIG_WHY_SIZE,
				       "[media] ice_servers: no URI of a STUN "
				       "or TURN server: %.*s",
				       n > 100 ? 100 : (int)n, url);
			return EINVAL;
		}
		if (is_turn(url, n) && !*c->media.turn_secret) {
			(void)snprintf(why, CONFIG_WHY_SIZE,
				       "[media] ice_servers: a TURN server "
				       "needs turn_secret");
			return EINVAL;
		}
		if (++servers > ICE_SERVERS_MAX) {
			(void)snprintf(why, CONFIG_WHY_SIZE,
				       "[media] ice_servers: more than %d",
				       ICE_SERVERS_MAX);
			return EINVAL;
		}
	}

	return 0;
}

static int credential_write(struct buf *b, const char *secret,
			    const char *email, int64_t expires)
{
	char user[ICE_USER_SIZE], password[BASE64_SIZE(SHA1_SIZE)];
	uint8_t mac[SHA1_SIZE];
	const int n = snprintf(user, sizeof(user), "%" PRId64 ":%s", expires,
			       email);

	if (n < 0 || (size_t)n >= sizeof(user))
		return EOVERFLOW;
	if (secret_hmac_sha1(mac, secret, strlen(secret), user, (size_t)n))
		return EIO;
	secret_base64_encode(password, mac, sizeof(mac));
	json_member(b, "username", user);
	json_member(b, "credential", password);

	return 0;
}

int ice_write(struct buf *b, const struct config *c, const char *email,
	      int64_t expires)
{
	const char *p = c->media.ice_servers;
	const char *before = "";
	int err = 0;
	size_t n;

	buf_char(b, '[');
	while (!err && (n = config_item(&p))) {
		const char *url = p - n;

		buf_str(b, before);
		before = ",";
		buf_char(b, '{');
		json_key(b, "urls");
		json_str(b, url, n);
		if (is_turn(url, n))
			err = credential_write(b, c->media.turn_secret, email,
					       expires);
		buf_char(b, '}');
	}
	buf_char(b, ']');

	return err;
}
