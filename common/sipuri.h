/*
 * SIP and SIPS URIs (RFC 3261, sections 19.1 and 25.1), strictly: what may be
 * a contact, and the key by which two contacts are the same.
 */
#ifndef SIPURI_H
#define SIPURI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SIPURI_MAX = 1024,
	SIPURI_KEY_BUF = SIPURI_MAX + 64,
};

struct sipuri_part {
	const char *p; /**< Borrowed from the text; NULL: not there */
	size_t n;
};

struct sipuri {
	bool secure; /**< sips: */
	struct sipuri_part user;
	struct sipuri_part host;   /**< An IPv6 address keeps its brackets */
	struct sipuri_part params; /**< From the first semicolon on */
	uint16_t port;		   /**< 0: none given */
};

int sipuri_parse(struct sipuri *u, const char *p, size_t n);
bool sipuri_param(const struct sipuri *u, const char *name,
		  struct sipuri_part *value);
int sipuri_key(char out[static SIPURI_KEY_BUF], const struct sipuri *u);

#endif
