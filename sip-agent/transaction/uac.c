/*
 * A request that we send: it begins, is cancelled, and has one end.
 */
#include "transaction/uac.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/log.h"
#include "logre.h"
#include "pg/pgval.h"
#include "transaction/cancel.h"
#include "transaction/codes.h"
#include "transaction/next_hop.h"
#include "transaction/uac_parts.h"

static void destructor(void *arg)
{
	struct uac *u = arg;

	tmr_cancel(&u->tmr);
	mem_deref(u->wait);
	uac_let_go(u);
	mem_deref(u->cancel);
	mem_deref(u->flow);
}

/**
 * Allocate a request
 *
 * @param up Set to the request, owned by the caller; who lets go of it ends
 *           the transaction, and no handler is called
 * @param h  Called once, when it has ended; may be called by uac_start, and
 *           may let go of the request
 */
int uac_alloc(struct uac **up, struct agent *ag, const struct uac_request *req,
	      uac_end_h *h, void *arg)
{
	struct uac *u = mem_zalloc(sizeof(*u), destructor);
	int err = 0;

	if (!u)
		return ENOMEM;
	if (req->flow)
		err = str_dup(&u->flow, req->flow);
	if (err) {
		mem_deref(u);
		return err;
	}

	u->ag = ag;
	u->out = *req;
	u->out.flow = u->flow;
	u->tls = req->tls || next_hop_needs_tls(req->uri, req->flow);
	u->h = h;
	u->arg = arg;
	*up = u;

	return 0;
}

/** Be told of provisional answers, of which there may be any number */
void uac_set_progress(struct uac *u, uac_progress_h *h)
{
	u->progressh = h;
}

/* --- the end ------------------------------------------------------------ */

void uac_end(struct uac *u, int code, const char *reason,
	     const struct sip_msg *msg)
{
	uac_end_h *h = u->h;

	u->h = NULL;
	tmr_cancel(&u->tmr);
	cancel_stop(u->cancel);
	u->wait = mem_deref(u->wait);
	uac_let_go(u);
	if (h)
		h(code, reason, msg, u->arg);
}

/* Whatever the reason: who has named the address learns nothing of it */
void uac_end_silent(struct uac *u)
{
	uac_end(u, 480, "No answer from the contact", NULL);
}

/** A reason phrase as one line of UTF-8: what of it is that */
void uac_reason(char dst[static UAC_REASON_SIZE], const struct pl *src)
{
	size_t len = src->l < UAC_REASON_SIZE ? src->l : UAC_REASON_SIZE - 1;

	while (len && !pg_is_text(src->p, len))
		len--;
	if (len)
		memcpy(dst, src->p, len);
	dst[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)dst[i] < 0x20 || dst[i] == 0x7f)
			dst[i] = ' ';
	}
}

/* Whether a failure says nothing of what is elsewhere */
bool uac_is_ours(int err)
{
	return err == EINVAL || codes_is_our_lack(err) || err == ENOSYS ||
	       err == ENOTCONN || err == EPROTONOSUPPORT;
}

void uac_transport_failed(struct uac *u, int err)
{
	if (codes_is_our_lack(err))
		log_warn_rarely(1, "request_not_sent",
				LOG_STR("why", strerror(err)));
	u->is_ours = err == EMSGSIZE || uac_is_ours(err);
	switch (err) {
	case ENOTCONN:
		uac_end(u, 430, "Flow failed", NULL);
		break;

	case ETIMEDOUT:
		uac_end(u, 408, "Request Timeout", NULL);
		break;

	case EMSGSIZE: /* of a datagram: it never will be less */
		uac_end(u, 413, "Too large for UDP", NULL);
		break;

	case ENOSYS:
	case EPROTONOSUPPORT:
		uac_end(u, 503, "Transport not supported", NULL);
		break;

	case ENOMEM:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
		uac_end(u, 0, "", NULL);
		break;

	default:
		uac_end(u, 503, "Transport error", NULL);
		break;
	}
}

/* ECONNABORTED: it had not been sent */
void uac_end_cancelled(struct uac *u, int err)
{
	if (err == ECONNABORTED)
		uac_end(u, 487, "Request Terminated", NULL);
	else
		uac_transport_failed(u, err);
}

static void unanswered_handler(void *arg)
{
	uac_transport_failed(arg, ETIMEDOUT);
}

/**
 * Cancel an INVITE (section 9.1): CANCEL is sent as soon as there has been a
 * provisional answer
 *
 * @param why Of its Reason header (RFC 3326), copied; NULL: none
 *
 * The end is told by the handler, maybe within this call: 487 as a rule, a 2xx
 * where that was quicker, 408 where none comes for UAC_CANCEL_MS.
 */
void uac_cancel(struct uac *u, const char *why)
{
	if (u->cancelled || !u->h)
		return;

	u->cancelled = true;
	if (!u->way || !u->way->req) {
		uac_end_cancelled(u, ECONNABORTED);
		return;
	}

	tmr_start(&u->tmr, UAC_CANCEL_MS, unanswered_handler, u);
	cancel_set_reason(u->cancel, why);
	if (u->heard)
		cancel_send(u->cancel, u->ag, &u->sent);
}

/**
 * Write what would cancel an INVITE that has had a provisional answer, for
 * another process to send
 *
 * @param mbp Set to it, owned by the caller
 */
int uac_cancel_encode(const struct uac *u, struct mbuf **mbp)
{
	return u->cancel ? cancel_encode(mbp, u->cancel) : ENOENT;
}

/** Where it was sent to; from within the handler, and while it is under way */
const struct address *uac_sent_to(const struct uac *u)
{
	return &u->sent;
}

/** Whether its end says anything of who is there; from within the handler */
bool uac_went_out(const struct uac *u)
{
	return !u->is_ours;
}
