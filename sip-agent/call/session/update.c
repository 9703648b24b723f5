/*
 * Without an offer it is answered here. One that offers goes on to the other
 * side as a re-INVITE, which every phone knows (relay.c, page.c).
 */
#include "call/session/update.h"

#include <errno.h>

#include "call/request.h"
#include "call/session/session.h"
#include "call/tell/told.h"
#include "transaction/answer.h"
#include "transaction/body.h"
#include "transaction/uas.h"

enum {
	HDRS_SIZE = 1024,
	LATER_MAX_S = 10, /* RFC 3311 section 5.2 */
};

/** Whether a request is one */
bool update_is(const struct uas *u)
{
	return !pl_strcmp(&uas_msg(u)->met, "UPDATE");
}

static void accept_it(struct leg *l, struct uas *u, const struct pl *sdp)
{
	char hdrs[HDRS_SIZE], timer[SESSION_HDRS_SIZE];
	const struct answer a = {
		.scode = 200,
		.hdrs = hdrs,
		.dialog = true,
		.content_type = "application/sdp",
		.body = *sdp,
	};

	request_take_target(l, uas_msg(u));
	if (session_of_request(l, uas_msg(u)) && l->state == LEG_UP)
		told_moved(l->legs->told, l);
	if (l->state == LEG_UP)
		session_begin(l);
	(void)re_snprintf(hdrs, sizeof(hdrs),
			  "Contact: <%s>\r\n" UAS_ALLOW UAS_SUPPORTED "%s",
			  l->d.local_target, session_answer(timer, l));
	uas_answer(u, &a);
}

/** Answer one that the other side has accepted; sdp: its answer */
void update_accept(struct leg *l, struct uas *u, const struct buf *sdp)
{
	const struct pl pl = {sdp->p, sdp->len};

	accept_it(l, u, &pl);
}

/* The INVITE that it is to change has no answer yet: we owe that to an offer;
   without one there is nothing to change */
static void refuse_early(const struct leg *l, struct uas *u)
{
	if (l->offerless)
		uas_refuse(u, 488);
	else
		uas_reply(u, 500, NULL, "Retry-After: %u\r\n",
			  rand_u32() % (LATER_MAX_S + 1));
}

/**
 * Serve one as far as it concerns nobody else
 *
 * @return false: it has an offer, which is to go on to the other side
 */
bool update_serve(struct leg *l, struct uas *u)
{
	static const struct pl none = PL_INIT;
	struct body body;
	bool is_done = true;
	int err;

	err = body_open_sdp(&body, uas_msg(u), LEG_SDP_MAX);
	if (err == ENODATA)
		accept_it(l, u, &none);
	else if (err)
		body_refuse(u, err);
	else if (l->state < LEG_ANSWERED)
		refuse_early(l, u);
	else if (session_is_refresh(l, uas_msg(u), &body.data) &&
		 !leg_is_busy(l))
		update_accept(l, u, &l->session.said);
	else
		is_done = false;
	body_close(&body);

	return is_done;
}
