/*
 * Digest authentication, server side: parse what a client answered and compute
 * what it should have answered.  RFC 7616, RFC 8760, RFC 3261 section 22.
 */
#ifndef DIGEST_H
#define DIGEST_H

#include <re.h>

enum digest_alg {
	DIGEST_MD5,
	DIGEST_SHA256,
};

enum {
	DIGEST_HEX_SIZE = 65,	    /* longest hash in hex, with its NUL */
	DIGEST_USERNAME_SIZE = 256, /* longest username, with its NUL */
	DIGEST_CNONCE_MAX = 256,
};

/** The parameters of an Authorization header; all pl are borrowed from it */
struct digest_auth {
	char username[DIGEST_USERNAME_SIZE]; /**< unescaped */
	struct pl realm;
	struct pl nonce;
	struct pl uri;
	struct pl response;
	struct pl cnonce;
	struct pl nc_text;
	uint32_t nc; /**< 1 where the client sent no qop */
	enum digest_alg alg;
	bool qop; /**< qop=auth; without it RFC 2069's short form */
};

int digest_parse(struct digest_auth *auth, const struct pl *hval);
int digest_ha1(char *hex, size_t size, enum digest_alg alg,
	       const char *username, const char *realm, const char *password);
int digest_response(char *hex, size_t size, const struct digest_auth *auth,
		    const char *ha1, const struct pl *method);
bool digest_equal(const char *hex, const struct pl *response);
const char *digest_alg_name(enum digest_alg alg);
bool digest_alg_decode(enum digest_alg *alg, const struct pl *name);

#endif
