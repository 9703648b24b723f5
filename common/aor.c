#include "common/aor.h"

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <string.h>

enum {
	LOCAL_MAX = 64,	  /* RFC 5321, section 4.5.3.1.1 */
	LABEL_MAX = 63,	  /* RFC 1035, section 2.3.4 */
	DOMAIN_MAX = 253, /* the same */
};

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/*
 * What an email's local part (RFC 5322, atext) and a SIP URI's user part
 * (RFC 3261, section 25.1) both may hold without escaping.
 */
static bool is_local(const char *p, size_t n)
{
	if (n == 0 || n > LOCAL_MAX || p[0] == '.' || p[n - 1] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		const char c = p[i];

		if (!is_alnum(c) && (c == '\0' || !strchr("-_.!~*'&=+$?/", c)))
			return false;
		if (c == '.' && p[i + 1] == '.')
			return false;
	}

	return true;
}

/* Letters, digits and hyphens, label by label (RFC 1123, section 2.1) */
static bool is_ascii_domain(const char *s)
{
	size_t label = 0;

	if (strlen(s) > DOMAIN_MAX)
		return false;
	for (; *s; s++) {
		if (*s == '.') {
			if (label == 0 || s[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_alnum(*s) && (*s != '-' || label == 0))
			return false;
		if (++label > LABEL_MAX)
			return false;
	}

	return label > 0 && s[-1] != '-';
}

/**
 * A domain in the one form that is stored and compared: lower case, A-labels
 * for what is not ASCII (RFC 5891), and without the root's dot at its end (RFC
 * 1034, section 3.1; RFC 3261, section 25.1).
 *
 * @param out  Written only on success
 * @return  0, or EBADMSG
 */
int domain_parse(char out[static AOR_BUF], const char *p, size_t n)
{
	char text[AOR_BUF];
	char *ascii = NULL;
	bool plain = true;
	int err = EBADMSG;

	if (n == 0 || n > AOR_MAX || memchr(p, '\0', n))
		return EBADMSG;
	for (size_t i = 0; i < n; i++) {
		const char c = p[i];

		text[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
		plain = plain && (unsigned char)c < 0x80;
	}
	if (text[n - 1] == '.')
		n--;
	text[n] = '\0';
	if (!plain) {
		if (idn2_to_ascii_8z(text, &ascii,
				     IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
			    IDN2_OK ||
		    strlen(ascii) > AOR_MAX)
			goto out;
		memcpy(text, ascii, strlen(ascii) + 1);
	}
	if (!is_ascii_domain(text))
		goto out;
	memcpy(out, text, strlen(text) + 1);
	err = 0;
out:
	idn2_free(ascii);

	return err;
}

/**
 * Checks an email and gives it the form in which it is stored. The local part
 * stays as it is, though it is compared without case; the domain is
 * lower-cased.
 *
 * @param out  Written only on success
 * @return  0, or EBADMSG
 */
int aor_parse(char out[static AOR_BUF], const char *p, size_t n)
{
	char domain[AOR_BUF];
	const char *at = n <= 4 * AOR_MAX ? memchr(p, '@', n) : NULL;
	size_t local;

	if (!at)
		return EBADMSG;
	local = (size_t)(at - p);
	if (!is_local(p, local) ||
	    domain_parse(domain, at + 1, n - local - 1) ||
	    local + 1 + strlen(domain) > AOR_MAX)
		return EBADMSG;
	memcpy(out, p, local + 1);
	memcpy(out + local + 1, domain, strlen(domain) + 1);

	return 0;
}

/** @return  The domain of what aor_parse() gave, borrowed from it */
const char *aor_domain(const char *aor)
{
	const char *at = strrchr(aor, '@');

	return at ? at + 1 : "";
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
}

/** Makes of what aor_parse() gave the text that is the same for each spelling,
 * as app.email_key() does */
void aor_fold(char *aor)
{
	for (; *aor; aor++)
		*aor = lower(*aor);
}

/** @return  Whether two that aor_parse() gave are one account's */
bool aor_same(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}

	return lower(*a) == lower(*b);
}
