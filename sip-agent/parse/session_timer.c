#include "parse/session_timer.h"

#include <errno.h>

#include "parse/hdr.h"

/* With parameters behind it, or without */
static int read_seconds(uint32_t *s, struct pl *params, const struct pl *val)
{
	struct pl num = {val->p, 0};
	uint64_t n;
	int err;

	*params = *val;
	while (params->l && params->p[0] >= '0' && params->p[0] <= '9') {
		num.l++;
		pl_advance(params, 1);
	}
	err = hdr_delay(&n, &num, UINT32_MAX);
	if (err)
		return err;
	hdr_skip_lws(params);
	if (params->l && *params->p != ';')
		return EBADMSG;
	*s = (uint32_t)n;

	return 0;
}

static enum refresher read_refresher(const struct pl *params)
{
	struct pl val;

	if (msg_param_decode(params, "refresher", &val))
		return REFRESHER_ANY;
	if (!pl_strcasecmp(&val, "uac"))
		return REFRESHER_UAC;

	return pl_strcasecmp(&val, "uas") ? REFRESHER_ANY : REFRESHER_UAS;
}

/**
 * Read what a message says of the session's time
 *
 * @param st Set, also where it says nothing; what is larger than fits is what
 *           fits
 *
 * @return 0, EBADMSG where one of the two headers is no number of seconds
 */
int session_timer_read(struct session_timer *st, const struct sip_msg *msg)
{
	const struct pl *expires = hdr_get(msg, HDR_SESSION_EXPIRES);
	const struct pl *min = hdr_get(msg, HDR_MIN_SE);
	struct pl params;
	int err = 0;

	*st = (struct session_timer){.s = 0};
	if (min)
		err = read_seconds(&st->min_s, &params, min);
	if (!err && expires) {
		err = read_seconds(&st->s, &params, expires);
		if (!err && !st->s)
			st->s = 1; /* it is said, and as little as can be */
		if (!err)
			st->refresher = read_refresher(&params);
	}

	return err;
}
