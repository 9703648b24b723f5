/*
 * An address-of-record: what is good both as an email (RFC 5321 dot-atom) and
 * as user@host of a SIP URI (RFC 3261 section 25.1) without any escape.
 */

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <string.h>

#include "aor.h"

enum {
	DOMAIN_MAX = 253,
	LABEL_MAX = 63,
	DOMAIN_IN_MAX = 512, /* bytes of UTF-8 */
};

/* atext of RFC 5321 that is unreserved, mark or user-unreserved in SIP; no
 * quote, which shells and SQL read in their own way. */
static bool is_local(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || (c && strchr("-_!~*&=+$?/", c));
}

static bool local_is_valid(const char *p, size_t len)
{
	if (!len || p[0] == '.' || p[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '.' && p[i - 1] != '.')
			continue;
		if (!is_local(p[i]))
			return false;
	}
	return true;
}

static bool is_ldh(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Letters, digits and hyphens in labels of 1 to 63 (RFC 1123). */
static bool domain_is_valid(const char *p)
{
	size_t label = 0;

	if (strlen(p) > DOMAIN_MAX)
		return false;
	for (; *p; p++) {
		if (*p == '.') {
			if (!label || p[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_ldh(*p) || (*p == '-' && !label) || ++label > LABEL_MAX)
			return false;
	}
	return label && p[-1] != '-';
}

static bool to_lower(char *out, const char *p, size_t len)
{
	bool ascii = true;

	for (size_t i = 0; i < len; i++) {
		out[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
		if ((unsigned char)p[i] >= 0x80)
			ascii = false;
	}
	out[len] = '\0';
	return ascii;
}

int aor_domain_parse(char *out, size_t size, const char *p, size_t len)
{
	char lower[DOMAIN_IN_MAX + 1];
	char *ascii = NULL;
	int err = EINVAL;

	if (!len || memchr(p, '\0', len))
		return EINVAL;
	if (len > DOMAIN_IN_MAX)
		return EMSGSIZE;
	if (!to_lower(lower, p, len)) {
		const int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL |
			IDN2_USE_STD3_ASCII_RULES;

		if (idn2_to_ascii_8z(lower, &ascii, flags) != IDN2_OK)
			return EINVAL;
	}
	if (domain_is_valid(ascii ? ascii : lower)) {
		const char *from = ascii ? ascii : lower;

		err = strlen(from) < size ? 0 : EMSGSIZE;
		if (!err)
			memcpy(out, from, strlen(from) + 1);
	}
	idn2_free(ascii);
	return err;
}

int aor_parse(char out[AOR_SIZE], const char *p, size_t len)
{
	const char *at = len ? memchr(p, '@', len) : NULL;
	char domain[AOR_SIZE];
	size_t local, host;
	int err;

	if (!at)
		return EINVAL;
	local = (size_t)(at - p);
	if (!local_is_valid(p, local))
		return EINVAL;
	if (local > AOR_LOCAL_MAX)
		return EMSGSIZE;
	err = aor_domain_parse(domain, sizeof(domain), at + 1, len - local - 1);
	if (err)
		return err;
	host = strlen(domain);
	if (local + 1 + host > AOR_MAX)
		return EMSGSIZE;
	memcpy(out, p, local + 1);
	memcpy(out + local + 1, domain, host + 1);
	return 0;
}

const char *aor_domain(const char *aor)
{
	const char *at = strrchr(aor, '@');

	return at ? at + 1 : aor;
}
