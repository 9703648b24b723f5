/*
 * From a SIP URI to the address of record in it (RFC 3261 section 19.1.4:
 * %61lice@ is alice@).
 */
#include "parse/uri.h"

#include <errno.h>
#include <string.h>

#include "common/sipuri.h"

enum { TEXT_MAX = 1024 };

/* Escapes are well-formed, and none is of NUL: sipuri_parse saw to it */
static size_t unescape(char *dst, const struct sipuri_part *src)
{
	size_t n = 0;

	for (size_t i = 0; i < src->n; i++) {
		if (src->p[i] != '%') {
			dst[n++] = src->p[i];
			continue;
		}
		dst[n++] = (char)(ch_hex(src->p[i + 1]) << 4 |
				  ch_hex(src->p[i + 2]));
		i += 2;
	}

	return n;
}

/**
 * The address of record in a SIP URI; port and parameters do not count
 *
 * @param aor    Its normal form
 * @param domain What stands in the place of its host; NULL for the host itself
 *
 * @return 0; EINVAL where it is no SIP URI with a user, or the user none that
 *         an account can have
 */
int uri_to_aor(char aor[AOR_BUF], const struct pl *uri, const char *domain)
{
	char text[TEXT_MAX + 1];
	struct sipuri_part host;
	struct sipuri u;
	size_t len;

	if (uri->l > TEXT_MAX || sipuri_parse(&u, uri->p, uri->l) || !u.user.p)
		return EINVAL;
	host = domain ? (struct sipuri_part){domain, strlen(domain)} : u.host;

	/* never longer than what it came from */
	len = unescape(text, &u.user);
	if (memchr(text, '@', len) || len + 1 + host.n > TEXT_MAX)
		return EINVAL;
	text[len++] = '@';
	memcpy(text + len, host.p, host.n);
	len += host.n;

	return aor_parse(aor, text, len) ? EINVAL : 0;
}

/** Whether a text stays on its line: no CR, LF, NUL or other control */
bool uri_is_line(const struct pl *pl)
{
	for (size_t i = 0; i < pl->l; i++) {
		const unsigned char c = (unsigned char)pl->p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}

	return true;
}

/**
 * The Request-URI for a contact: without its headers, which must not be
 * obeyed (RFC 3261 section 19.1.1)
 *
 * @param urip Set to the URI, owned by the caller
 *
 * @return 0 or EINVAL
 */
int uri_of_contact(char **urip, const char *contact)
{
	struct pl pl, uri;

	pl_set_str(&pl, contact);
	if (!*contact || !uri_is_line(&pl) || strpbrk(contact, "<>\" \t"))
		return EINVAL;

	uri = (struct pl){contact, strcspn(contact, "?")};

	return pl_strdup(urip, &uri);
}
