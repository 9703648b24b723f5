/*
 * The arithmetic and the grammar of Digest authentication (RFC 7616 section
 * 3.4, RFC 8760, RFC 3261 section 22).  Knows nothing of sockets or SQL.
 */
#include "parse/digest.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/hex.h"
#include "common/secret.h"
#include "parse/hdr.h"

enum {
	PIECES_MAX = 12,
	NC_MAX = 16, /* characters of nc */
};

static const char *const alg_names[] = {
	[DIGEST_MD5] = "MD5",
	[DIGEST_SHA256] = "SHA-256",
};

const char *digest_alg_name(enum digest_alg alg)
{
	return alg_names[alg];
}

/**
 * The algorithm by its name in RFC 7616 section 6.1
 *
 * @return false where the name is none of ours
 */
bool digest_alg_decode(enum digest_alg *alg, const struct pl *name)
{
	for (size_t i = 0; i < sizeof(alg_names) / sizeof(*alg_names); i++) {
		if (!pl_strcasecmp(name, alg_names[i])) {
			*alg = (enum digest_alg)i;
			return true;
		}
	}

	return false;
}

/* Found once: EVP_md5() would be looked up anew for each hash */
static const EVP_MD *evp_md(enum digest_alg alg)
{
	static EVP_MD *found[2];

	if (!found[alg])
		found[alg] = EVP_MD_fetch(
			NULL, alg == DIGEST_MD5 ? "MD5" : "SHA2-256", NULL);

	return found[alg];
}

/* H() over the pieces one after the other, in lower case hex */
static int hash_hex(char *hex, size_t size, enum digest_alg alg,
		    const struct pl *piecev, size_t piecec)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok;

	if (!ctx)
		return ENOMEM;

	ok = EVP_DigestInit_ex(ctx, evp_md(alg), NULL);
	for (size_t i = 0; ok && i < piecec; i++)
		ok = EVP_DigestUpdate(ctx, piecev[i].p, piecev[i].l);
	ok = ok && EVP_DigestFinal_ex(ctx, md, &len);
	EVP_MD_CTX_free(ctx);

	if (!ok)
		return EPROTO;
	if (size < 2u * len + 1u)
		return EOVERFLOW;

	hex_encode(hex, md, len);

	return 0;
}

static struct pl pl_of(const char *s)
{
	return (struct pl){s, strlen(s)};
}

/**
 * H(username:realm:password), RFC 7616 section 3.4.2
 */
int digest_ha1(char *hex, size_t size, enum digest_alg alg,
	       const char *username, const char *realm, const char *password)
{
	const struct pl colon = PL(":");
	const struct pl piecev[] = {
		pl_of(username), colon, pl_of(realm), colon, pl_of(password),
	};

	return hash_hex(hex, size, alg, piecev,
			sizeof(piecev) / sizeof(*piecev));
}

/**
 * The response that the client should have sent (RFC 7616 section 3.4.1)
 *
 * @param hex    Where it goes, lower case hex
 * @param size   Bytes at hex; DIGEST_HEX_SIZE is always enough
 * @param auth   What the client sent
 * @param ha1    H(A1) in lower case hex
 * @param method Method of the request
 *
 * @return 0, or an errno where the library failed
 */
int digest_response(char *hex, size_t size, const struct digest_auth *auth,
		    const char *ha1, const struct pl *method)
{
	const struct pl colon = PL(":"), qop = PL("auth");
	const struct pl a2[] = {*method, colon, auth->uri};
	char ha2[DIGEST_HEX_SIZE];
	struct pl piecev[PIECES_MAX];
	size_t n = 0;
	int err;

	err = hash_hex(ha2, sizeof(ha2), auth->alg, a2,
		       sizeof(a2) / sizeof(*a2));
	if (err)
		return err;

	piecev[n++] = pl_of(ha1);
	piecev[n++] = colon;
	piecev[n++] = auth->nonce;
	piecev[n++] = colon;
	if (auth->qop) {
		piecev[n++] = auth->nc_text;
		piecev[n++] = colon;
		piecev[n++] = auth->cnonce;
		piecev[n++] = colon;
		piecev[n++] = qop;
		piecev[n++] = colon;
	}
	piecev[n++] = pl_of(ha2);

	return hash_hex(hex, size, auth->alg, piecev, n);
}

/** Whether both are the same, in time that does not tell where they differ */
bool digest_equal(const char *hex, const struct pl *response)
{
	const size_t len = strlen(hex);
	char lower[DIGEST_HEX_SIZE] = {0};

	if (response->l != len || len >= sizeof(lower))
		return false;

	for (size_t i = 0; i < len; i++) {
		const char c = response->p[i];

		lower[i] = (c >= 'A' && c <= 'F') ? (char)(c + 32) : c;
	}

	return secret_equal(hex, lower, len);
}

/* --- grammar ------------------------------------------------------------ */

enum param {
	P_ALGORITHM,
	P_CNONCE,
	P_NC,
	P_NONCE,
	P_QOP,
	P_REALM,
	P_RESPONSE,
	P_URI,
	P_USERHASH,
	P_USERNAME,
	P_COUNT,
};

static const char *const param_names[P_COUNT] = {
	[P_ALGORITHM] = "algorithm",
	[P_CNONCE] = "cnonce",
	[P_NC] = "nc",
	[P_NONCE] = "nonce",
	[P_QOP] = "qop",
	[P_REALM] = "realm",
	[P_RESPONSE] = "response",
	[P_URI] = "uri",
	[P_USERHASH] = "userhash",
	[P_USERNAME] = "username",
};

static int take_token(struct pl *tok, struct pl *pl)
{
	*tok = (struct pl){pl->p, 0};
	while (pl->l && hdr_is_token_char(*pl->p)) {
		tok->l++;
		pl_advance(pl, 1);
	}

	return tok->l ? 0 : EBADMSG;
}

/* Not only a token: some leave the quotes of a URI out */
static int take_unquoted(struct pl *val, struct pl *pl)
{
	*val = (struct pl){pl->p, 0};
	while (pl->l && *pl->p != ',' && !hdr_is_lws(*pl->p)) {
		const unsigned char c = (unsigned char)*pl->p;

		if (c < 0x20 || c == 0x7f || c == '"')
			return EBADMSG;
		val->l++;
		pl_advance(pl, 1);
	}

	return 0;
}

/* Value without its quotes; backslashes are left in */
static int take_value(struct pl *val, bool *escaped, struct pl *pl)
{
	*escaped = false;

	if (!pl->l || *pl->p != '"')
		return take_unquoted(val, pl);

	pl_advance(pl, 1);
	*val = (struct pl){pl->p, 0};
	while (pl->l && *pl->p != '"') {
		const unsigned char c = (unsigned char)*pl->p;
		size_t n = 1;

		if (c < 0x20 && c != '\t')
			return EBADMSG;
		if (c == '\\') {
			n = 2;
			*escaped = true;
		}
		if (pl->l < n)
			return EBADMSG;
		val->l += n;
		pl_advance(pl, (ssize_t)n);
	}
	if (!pl->l)
		return EBADMSG;
	pl_advance(pl, 1);

	return 0;
}

static int take_param(struct pl *valv, bool *escv, struct pl *pl)
{
	struct pl name, val;
	bool escaped;
	int err;

	err = take_token(&name, pl);
	if (err)
		return err;

	hdr_skip_lws(pl);
	if (!pl->l || *pl->p == ',')
		return 0; /* it has no value, and says nothing to us */
	if (*pl->p != '=')
		return EBADMSG;
	pl_advance(pl, 1);
	hdr_skip_lws(pl);

	err = take_value(&val, &escaped, pl);
	if (err)
		return err;

	for (size_t i = 0; i < P_COUNT; i++) {
		if (pl_strcasecmp(&name, param_names[i]))
			continue;
		if (valv[i].p)
			return EBADMSG;
		valv[i] = val;
		escv[i] = escaped;
	}

	return 0;
}

static int unescape(char *dst, size_t size, const struct pl *src)
{
	size_t n = 0;

	for (size_t i = 0; i < src->l; i++) {
		if (src->p[i] == '\\')
			i++;
		if (i >= src->l || src->p[i] == '\0' || n + 1 >= size)
			return EBADMSG;
		dst[n++] = src->p[i];
	}
	dst[n] = '\0';

	return 0;
}

/* Eight digits, but some write fewer, and what is hashed is what was written */
static int decode_nc(uint32_t *nc, const struct pl *pl)
{
	uint32_t n = 0;

	if (!pl->l || pl->l > NC_MAX)
		return EBADMSG;

	for (size_t i = 0; i < pl->l; i++) {
		const char c = pl->p[i];
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (uint32_t)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			digit = (uint32_t)(c - 'A') + 10;
		else
			return EBADMSG;
		if (n >> 28)
			return EBADMSG; /* more than 32 bits */
		n = n << 4 | digit;
	}
	*nc = n;

	return n ? 0 : EBADMSG;
}

static int check_params(struct digest_auth *auth, const struct pl *valv,
			const bool *escv)
{
	static const enum param needed[] = {P_USERNAME, P_REALM, P_NONCE, P_URI,
					    P_RESPONSE};
	static const enum param verbatim[] = {P_REALM, P_NONCE, P_URI,
					      P_RESPONSE, P_CNONCE};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (!pl_isset(&valv[needed[i]]))
			return EBADMSG;
	}
	/* values that are hashed as they stand need no backslashes */
	for (size_t i = 0; i < sizeof(verbatim) / sizeof(*verbatim); i++) {
		if (escv[verbatim[i]])
			return EBADMSG;
	}
	if (valv[P_USERHASH].p && pl_strcasecmp(&valv[P_USERHASH], "false"))
		return EBADMSG;

	auth->alg = DIGEST_MD5;
	if (valv[P_ALGORITHM].p &&
	    !digest_alg_decode(&auth->alg, &valv[P_ALGORITHM]))
		return EBADMSG;

	auth->qop = pl_isset(&valv[P_QOP]);
	auth->nc = 1;
	if (auth->qop) {
		if (pl_strcasecmp(&valv[P_QOP], "auth") || !valv[P_CNONCE].p ||
		    valv[P_CNONCE].l > DIGEST_CNONCE_MAX)
			return EBADMSG;
		if (decode_nc(&auth->nc, &valv[P_NC]))
			return EBADMSG;
	}

	return unescape(auth->username, sizeof(auth->username),
			&valv[P_USERNAME]);
}

/* A list may have members with nothing in them (RFC 7230 section 7) */
static void skip_commas(struct pl *pl)
{
	while (pl->l && (hdr_is_lws(*pl->p) || *pl->p == ','))
		pl_advance(pl, 1);
}

/**
 * Parse the value of an Authorization header (RFC 7616 section 3.4)
 *
 * @param auth Filled in; borrows from hval
 * @param hval Header value
 *
 * @return 0, ENOENT where the scheme is not Digest, EBADMSG where it is not
 *         well-formed or asks for what was not offered (auth-int, userhash)
 */
int digest_parse(struct digest_auth *auth, const struct pl *hval)
{
	struct pl valv[P_COUNT] = {{NULL, 0}};
	bool escv[P_COUNT] = {false};
	struct pl pl = *hval, scheme;
	int err;

	hdr_skip_lws(&pl);
	if (take_token(&scheme, &pl) || pl_strcasecmp(&scheme, "Digest"))
		return ENOENT;

	while (skip_commas(&pl), pl.l) {
		err = take_param(valv, escv, &pl);
		if (err)
			return err;
		hdr_skip_lws(&pl);
		if (pl.l && *pl.p != ',')
			return EBADMSG;
	}

	memset(auth, 0, sizeof(*auth));
	err = check_params(auth, valv, escv);
	if (err)
		return err;

	auth->realm = valv[P_REALM];
	auth->nonce = valv[P_NONCE];
	auth->uri = valv[P_URI];
	auth->response = valv[P_RESPONSE];
	auth->cnonce = valv[P_CNONCE];
	auth->nc_text = valv[P_NC];

	return 0;
}
