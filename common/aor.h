/*
 * An address-of-record: an email that is also a SIP user and host. Both doors
 * read addresses here and nowhere else.
 */
#ifndef AOR_H
#define AOR_H

#include <stddef.h>

enum {
	AOR_MAX = 254, /* RFC 5321: a path is 256 with its brackets */
	AOR_LOCAL_MAX = 64,
	AOR_SIZE = AOR_MAX + 1,
};

/*
 * Reads an email and writes its normal form, NUL-terminated: the domain in
 * lower case and in ASCII (IDNA), the local part as it is.
 *
 * out is written only on success. EINVAL: no address; EMSGSIZE: too long.
 */
int aor_parse(char out[AOR_SIZE], const char *p, size_t len);

/* The domain of a normal form. Borrowed from aor. */
const char *aor_domain(const char *aor);

/* Writes a host's normal form (lower case, IDNA), at most 253 bytes and NUL. */
int aor_domain_parse(char *out, size_t size, const char *p, size_t len);

#endif
