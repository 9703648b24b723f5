/*
 * Joins the addresses of a header's lines.
 */
#include "parse/route.h"

#include <errno.h>

#include "common/sipuri.h"
#include "parse/nameaddr.h"

/* @return true where it cannot be a route */
static bool line_handler(const struct pl *val, void *arg)
{
	struct mbuf *mb = arg;
	struct pl list = *val;
	struct nameaddr na;
	struct sipuri uri;
	int err;

	while (!(err = nameaddr_take(&na, &list))) {
		const size_t len = na.uri.l + na.params.l + 4;

		if (!na.brackets || mb->end + len > ROUTE_MAX_LEN ||
		    sipuri_parse(&uri, na.uri.p, na.uri.l))
			return true;
		/* folds and spaces between parameters are not kept */
		if (re_regex(na.params.p, na.params.l, "[\r\n\t]+", NULL) == 0)
			return true;
		if (mbuf_printf(mb, "%s<%r>%r", mb->end ? ", " : "", &na.uri,
				&na.params))
			return true;
	}

	return err != ENOENT;
}

/**
 * Turn a route round
 *
 * @param dstp  Set to it, owned by the caller
 * @param route As route_read gives it
 *
 * @return 0, EBADMSG or ENOMEM
 */
int route_reverse(char **dstp, const char *route)
{
	char *all = NULL, *more;
	struct nameaddr na;
	struct pl list;
	int err;

	pl_set_str(&list, route);
	while (!(err = nameaddr_take(&na, &list))) {
		err = re_sdprintf(&more, "<%r>%r%s%s", &na.uri, &na.params,
				  all ? ", " : "", all ? all : "");
		mem_deref(all);
		all = err ? NULL : more;
		if (err)
			return err;
	}
	if (err != ENOENT || !all) {
		mem_deref(all);
		return EBADMSG;
	}
	*dstp = all;

	return 0;
}

/**
 * Read a route
 *
 * @param routep Set to it, owned by the caller; NULL where there is none
 * @param h      HDR_PATH or HDR_RECORD_ROUTE
 *
 * @return 0, EBADMSG where one is no SIP URI, or they are too many; ENOMEM
 */
int route_read(char **routep, const struct sip_msg *msg, enum hdr h)
{
	struct mbuf *mb;
	int err = 0;

	*routep = NULL;
	if (!hdr_get(msg, h))
		return 0;

	mb = mbuf_alloc(256);
	if (!mb)
		return ENOMEM;

	if (hdr_each(msg, h, line_handler, mb))
		err = EBADMSG;
	mbuf_set_pos(mb, 0);
	if (!err && mbuf_get_left(mb))
		err = mbuf_strdup(mb, routep, mbuf_get_left(mb));
	mem_deref(mb);

	return err;
}
