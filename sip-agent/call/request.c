#include "call/request.h"

#include <errno.h>
#include <string.h>

#include "call/session/session.h"
#include "call/tell/told.h"
#include "parse/uri.h"
#include "pg/pgval.h"
#include "transaction/dialog.h"

/* Each INVITE and UPDATE refreshes the session, or it would have no timer any
   more (RFC 4028 section 7.4) */
static bool is_refresh(const char *method)
{
	return !strcmp(method, "INVITE") || !strcmp(method, "UPDATE");
}

static int write_timer(struct mbuf *mb, struct leg *l, const char *method)
{
	char hdrs[SESSION_HDRS_SIZE];

	return is_refresh(method)
		       ? mbuf_printf(mb, "%s%s", session_offer(hdrs, l),
				     "Supported: timer\r\n")
		       : 0;
}

static int encode(struct leg_request *r, struct leg *l, const struct dialog *d,
		  const char *method, const char *hdrs, const struct pl *body)
{
	int err;

	r->out.mb = mbuf_alloc(768 + body->l);
	if (!r->out.mb)
		return ENOMEM;
	err = dialog_way(&r->uri, &r->route, d);
	if (!err)
		err = dialog_write(r->out.mb, d, method, r->route);
	if (!err)
		err = write_timer(r->out.mb, l, method);
	if (!err && hdrs)
		err = mbuf_write_str(r->out.mb, hdrs);
	if (!err)
		err = mbuf_printf(r->out.mb,
				  "User-Agent: restsip\r\n"
				  "Content-Length: %zu\r\n\r\n%r",
				  body->l, body);

	return err;
}

/** The same in another dialog of its INVITE; d: its CSeq is set here */
int request_write_in(struct leg_request *r, struct leg *l, struct dialog *d,
		     const char *method, const char *hdrs,
		     const struct pl *body)
{
	int err;

	leg_request_free(r);
	r->cseq = d->local_cseq = ++l->d.local_cseq;
	if (r->cseq >= l->cseq_told + LEG_CSEQ_TOLD) {
		l->cseq_told = r->cseq;
		told_moved(l->legs->told, l);
	}
	err = encode(r, l, d, method, hdrs, body);
	r->out = (struct uac_request){
		.method = method,
		.uri = r->uri,
		.route = r->route,
		.asked = l->contact,
		.flow = l->flow,
		.dials = leg_dials(l),
		.tls = l->secure,
		.rest = l->rest,
		.account = l->account,
		.mb = r->out.mb,
		.body_len = body->l,
		.sort_key = (uint64_t)l->id,
	};

	return err;
}

/**
 * Write a request under the next CSeq
 *
 * @param r      What it held is freed; borrows from the leg
 * @param method Static
 * @param hdrs   Further headers, each ended by CRLF, or NULL
 * @param body   May be empty
 *
 * @return 0 or errno
 */
int request_write(struct leg_request *r, struct leg *l, const char *method,
		  const char *hdrs, const struct pl *body)
{
	struct dialog d;

	leg_view(&d, l);

	return request_write_in(r, l, &d, method, hdrs, body);
}

/** Where its phone is from now on, by a request or an answer of its dialog
    (section 12.2.1.2) */
void request_take_target(struct leg *l, const struct sip_msg *msg)
{
	struct dialog d, target = {.local_cseq = DIALOG_NO_CSEQ,
				   .remote_cseq = DIALOG_NO_CSEQ};

	if ((msg->req ? dialog_of_request(&d, msg)
		      : dialog_of_answer(&d, msg)) ||
	    !pl_isset(&d.remote_target) || !uri_is_line(&d.remote_target) ||
	    !pg_is_text(d.remote_target.p, d.remote_target.l))
		return;
	target.remote_target = d.remote_target;
	if (l->d.remote_target &&
	    !pl_strcmp(&target.remote_target, l->d.remote_target))
		return;
	(void)leg_take_dialog(l, &target);
	told_moved(l->legs->told, l);
}
