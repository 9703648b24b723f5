/*
 * Behind a contact a proxy may fork: each To tag is a dialog of its own.
 */
#include "call/session/early.h"

#include <errno.h>

#include "agent.h"
#include "call/request.h"
#include "parse/hdr.h"
#include "parse/rack.h"
#include "parse/uri.h"
#include "transaction/body.h"
#include "transaction/dialog.h"
#include "transaction/local_target.h"
#include "transaction/uas.h"

enum {
	EARLY_MAX = 8, /* of a leg */
	RSEQ_MAX = 0x7fffffff,
	HDR_SIZE = 64,
};

struct early {
	struct le le;
	struct leg *l;
	char *tag, *target, *route, *mine; /* remote tag and target; ours */
	struct sa addr;			   /* where its phone has spoken from */
	uint32_t rseq;			   /* the last that had a PRACK */
	int64_t cseq;			   /* of its phone's last request */
	struct uac *uac;		   /* PRACK */
	struct leg_request req;
	struct buf sdp; /* the first that came reliably: the answer */
};

static void destructor(void *arg)
{
	struct early *e = arg;

	list_unlink(&e->le);
	mem_deref(e->uac);
	leg_request_free(&e->req);
	mem_deref(e->tag);
	mem_deref(e->target);
	mem_deref(e->route);
	mem_deref(e->mine);
	buf_free(&e->sdp);
}

static struct early *find(const struct leg *l, const struct pl *tag)
{
	struct le *le;

	LIST_FOREACH(&l->session.early, le)
	{
		struct early *e = le->data;

		if (!pl_strcmp(tag, e->tag))
			return e;
	}

	return NULL;
}

/* Its Contact, or where the INVITE went */
static int read_target(struct early *e, const struct sip_msg *msg)
{
	struct dialog d;

	if (!dialog_of_answer(&d, msg) && uri_is_line(&d.remote_target))
		return pl_strdup(&e->target, &d.remote_target);

	return e->l->req.uri ? str_dup(&e->target, e->l->req.uri) : EINVAL;
}

static int early_alloc(struct early **ep, struct leg *l,
		       const struct sip_msg *msg)
{
	const struct address *to = uac_sent_to(l->uac);
	struct early *e;
	int err;

	if (list_count(&l->session.early) >= EARLY_MAX)
		return ENOSPC;
	e = mem_zalloc(sizeof(*e), destructor);
	if (!e)
		return ENOMEM;
	e->l = l;
	e->addr = msg->src;
	e->cseq = DIALOG_NO_CSEQ;
	buf_init(&e->sdp, LEG_SDP_MAX + 1);
	err = pl_strdup(&e->tag, &msg->to.tag);
	if (!err)
		err = read_target(e, msg);
	if (!err)
		err = dialog_route(&e->route, msg);
	if (!err)
		err = local_target_to(&e->mine, l->legs->ag, &to->sa, to->tp);
	if (err) {
		mem_deref(e);
		return err;
	}
	list_append(&l->session.early, &e->le, e);
	*ep = e;

	return 0;
}

/* --- PRACK ------------------------------------------------------------------
 */

/* Whatever it says: its 1xx comes again, or does not */
static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct early *e = arg;

	(void)code;
	(void)reason;
	(void)msg;
	e->uac = mem_deref(e->uac);
}

static void view(struct dialog *d, const struct early *e)
{
	leg_view(d, e->l);
	pl_set_str(&d->remote_tag, e->tag);
	pl_set_str(&d->remote_target, e->target);
	pl_set_str(&d->local_target, e->mine);
	d->route = pl_null;
	if (e->route)
		pl_set_str(&d->route, e->route);
}

static int send_prack(struct early *e)
{
	static const struct pl none = PL_INIT;
	struct leg *l = e->l;
	char hdr[HDR_SIZE];
	struct dialog d;
	int err;

	view(&d, e);
	e->uac = mem_deref(e->uac);
	(void)re_snprintf(hdr, sizeof(hdr), "RAck: %u %lld INVITE\r\n", e->rseq,
			  l->invite_cseq);
	err = request_write_in(&e->req, l, &d, "PRACK", hdr, &none);
	if (!err)
		err = uac_alloc(&e->uac, l->legs->ag, &e->req.out, on_end, e);
	if (!err)
		uac_start(e->uac);

	return err;
}

/* What comes out of order comes again (section 4) */
static bool is_next(const struct early *e, uint32_t rseq)
{
	return rseq && rseq <= RSEQ_MAX && (!e->rseq || rseq == e->rseq + 1);
}

static size_t kept(const struct leg *l)
{
	size_t n = 0;
	struct le *le;

	LIST_FOREACH(&l->session.early, le)
	n += ((struct early *)le->data)->sdp.len;

	return n;
}

/* All of a leg have the room of one; who finds none is not heard */
static bool keep_sdp(struct early *e, const struct sip_msg *msg)
{
	struct body body;
	int err;

	if (e->sdp.len)
		return true;
	err = body_open_sdp(&body, msg, LEG_SDP_MAX - kept(e->l));
	if (!err)
		buf_add(&e->sdp, body.data.p, body.data.l);
	body_close(&body);

	return err != EMSGSIZE;
}

/** A provisional answer to the INVITE of a leg */
void early_heard(struct leg *l, const struct sip_msg *msg)
{
	struct early *e;
	uint32_t rseq;

	if (msg->scode == 100 || !pl_isset(&msg->to.tag) ||
	    !pl_isset(&msg->from.tag) || !l->uac)
		return;
	e = find(l, &msg->to.tag);
	if (!e && early_alloc(&e, l, msg))
		return;
	/* without an offer of ours we have not said that we know it */
	if (l->offerless || !hdr_has_token(msg, HDR_REQUIRE, "100rel") ||
	    rack_read_rseq(&rseq, msg) || !is_next(e, rseq) ||
	    !keep_sdp(e, msg))
		return;
	e->rseq = rseq;
	(void)send_prack(e);
}

/**
 * What is the answer to our offer within the dialog of a 2xx: what came
 * reliably before it (RFC 3261 section 13.2.1)
 *
 * @param sdp Set to it, borrowed until early_over
 *
 * @return false: that of the 2xx
 */
bool early_sdp(struct pl *sdp, const struct leg *l, const struct sip_msg *msg)
{
	const struct early *e = find(l, &msg->to.tag);

	if (!e || !e->sdp.len || e->sdp.failed)
		return false;
	*sdp = (struct pl){e->sdp.p, e->sdp.len};

	return true;
}

/** There is a 2xx, or there will be none */
void early_over(struct leg *l)
{
	list_flush(&l->session.early);
}

/* --- what its phones send ---------------------------------------------------
 */

struct look {
	const struct sip_msg *msg;
	struct early *e;
};

static bool dialog_handler(struct le *le, void *arg)
{
	const struct leg *l = le->data;
	struct look *look = arg;

	if (l->in || !l->d.local_tag ||
	    pl_strcmp(&look->msg->callid, l->d.call_id) ||
	    pl_strcmp(&look->msg->to.tag, l->d.local_tag))
		return false;
	look->e = find(l, &look->msg->from.tag);

	return look->e != NULL;
}

/* Our offer has its answer, or not; there is nobody yet to hear another */
static void update(const struct early *e, struct uas *u)
{
	struct body body;
	const int err = body_open_sdp(&body, uas_msg(u), LEG_SDP_MAX);

	if (err == ENODATA)
		uas_reply(u, 200, NULL, "Contact: <%s>\r\n" UAS_ALLOW, e->mine);
	else if (err)
		body_refuse(u, err);
	else
		uas_refuse(u, e->sdp.len ? 488 : 491);
	body_close(&body);
}

static void serve(struct early *e, struct uas *u)
{
	const struct sip_msg *msg = uas_msg(u);

	if ((int64_t)msg->cseq.num <= e->cseq) {
		uas_reply(u, 500, "CSeq Out Of Order", NULL);
		return;
	}
	e->cseq = msg->cseq.num;
	if (!pl_strcmp(&msg->met, "UPDATE"))
		update(e, u);
	else if (!pl_strcmp(&msg->met, "OPTIONS"))
		uas_reply(u, 200, NULL,
			  UAS_ALLOW "Accept: application/sdp\r\n");
	else
		uas_refuse(u, 481);
}

/**
 * Serve a request within such a dialog, from where its phone is
 *
 * @return false: it is of none
 */
bool early_request(struct legs *ls, const struct sip_msg *msg)
{
	struct look look = {.msg = msg};
	struct uas *u;

	(void)hash_lookup(ls->by_call_id, hash_joaat_pl(&msg->callid),
			  dialog_handler, &look);
	if (!look.e || !sa_cmp(&look.e->addr, &msg->src, SA_ADDR))
		return false;
	if (!pl_strcmp(&msg->met, "ACK"))
		return true;
	if (uas_alloc(&u, ls->ag, msg)) {
		uas_busy_stateless(ls->ag, msg);
		return true;
	}
	uas_set_proven(u);
	serve(look.e, u);
	mem_deref(u);

	return true;
}
