/*
 * sip: and sips: URIs (RFC 3261 sections 19.1 and 25.1) as contacts: no
 * headers, nothing that could end a header field.
 */
#ifndef SIPURI_H
#define SIPURI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

enum {
	SIPURI_MAX = 1024,
	SIPURI_KEY_SIZE = SIPURI_MAX + 1,
};

/* All spans are borrowed from the text that was parsed. */
struct sipuri {
	bool secure;	      /* sips: */
	struct span user;     /* as it came, escapes and all; p NULL: none */
	struct span password; /* likewise */
	struct span host;     /* a name, an IPv4, or an IPv6 without brackets */
	bool host_is_ip6;
	uint16_t port;	    /* 0: none given */
	struct span params; /* from the first ';' on, or empty */
};

/*
 * EINVAL: not such a URI; EMSGSIZE: longer than SIPURI_MAX. u is written only
 * on success.
 */
int sipuri_parse(struct sipuri *u, const char *p, size_t len);

/* A parameter's value, as it came; an empty one where it has no value. */
bool sipuri_param(const struct sipuri *u, const char *name, struct span *value);

/*
 * Two contacts are the same where these are (after RFC 3261 section 19.1.4):
 * scheme, user, password, host, port, and of the parameters those that say
 * where a request goes: maddr, method, transport, ttl, user.
 *
 * EMSGSIZE where size is too small; SIPURI_KEY_SIZE always suffices.
 */
int sipuri_key(char *out, size_t size, const struct sipuri *u);

#endif
