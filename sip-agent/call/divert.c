#include "call/divert.h"

#include <string.h>

#include "agent.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "settings/ours.h"

struct found {
	char *to;
	size_t len;
	int n;
	const struct settings *set;
};

static bool contact_handler(const struct pl *val, void *arg)
{
	struct found *f = arg;
	struct nameaddr na;
	struct pl list = *val;
	struct uri uri;
	char aor[AOR_BUF];
	int n;

	while (f->n < DIVERTS_MAX && !nameaddr_take(&na, &list)) {
		if (na.star || uri_decode(&uri, &na.uri) ||
		    !settings_is_ours(f->set, &uri) ||
		    settings_to_aor(f->set, aor, &na.uri))
			continue;
		n = re_snprintf(f->to + f->len, DIVERT_SIZE - f->len, "%s%s",
				f->len ? " " : "", aor);
		if (n < 0)
			break;
		f->len += (size_t)n;
		f->n++;
	}

	return f->n >= DIVERTS_MAX;
}

/**
 * Read whom a phone sends its call on to
 *
 * @param to  Set to their addresses of record, with blanks between them
 * @param msg Its answer
 *
 * @return false where it is no 3xx, or names nobody here
 */
bool divert_read(char to[static DIVERT_SIZE], const struct agent *ag,
		 const struct sip_msg *msg)
{
	struct found f = {.to = to, .set = ag->set};

	if (msg->scode < 300 || msg->scode >= 400)
		return false;
	(void)hdr_each(msg, HDR_CONTACT, contact_handler, &f);

	return f.n > 0;
}
