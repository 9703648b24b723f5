/*
 * The database knows who is at the other end, and does it by orders
 * (sql/functions/53_transfer.sql). From the REFER on, the two legs do not speak
 * to each other without it: who hangs up ends their own alone.
 */
#include "call/transfer/refer.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/request.h"
#include "call/tell/told.h"
#include "common/log.h"
#include "parse/hdr.h"
#include "parse/refer.h"
#include "parse/uri.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"
#include "settings/ours.h"
#include "transaction/uas.h"

enum {
	NOTIFIES_MAX = 10000, /* of all legs */
	NOTIFIES_LEG_MAX = 4, /* whose phone does not answer them */
	HDRS_SIZE = 256,
	BODY_SIZE = 256,
};

/* One that the database is asked about */
struct refer {
	struct uas *u;
	struct leg *l;
	int64_t peer; /* of the leg, until then */
	int pairs;    /* that the peer had done */
	bool tells;   /* its phone wants NOTIFYs */
};

static const struct pg_stmt stmt_refer = {
	.name = "leg_refer",
	.sql = "select * from api.leg_refer($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

static const struct pg_stmt stmt_join = {
	.name = "leg_refer_join",
	.sql = "select * from api.leg_refer_join($1, $2, $3, $4, $5, $6, $7)",
	.nparams = 7,
	.write = true,
};

/** One that is not within a call: nobody is handed on */
void refer_handle(struct agent *ag, const struct sip_msg *msg)
{
	uas_reply_stateless(ag, msg, pl_isset(&msg->to.tag) ? 481 : 403, NULL,
			    NULL);
}

static void destructor(void *arg)
{
	struct refer *r = arg;

	mem_deref(r->u);
	mem_deref(r->l);
}

static void apart(struct refer *r)
{
	struct leg *peer = leg_find(r->l->legs, r->l->peer);

	r->peer = r->l->peer;
	r->l->peer = 0;
	if (peer) {
		peer->peer = 0;
		r->pairs = peer->pairs;
	}
}

/* It is as it was, unless the database has said otherwise meanwhile */
static void together(const struct refer *r)
{
	struct leg *peer = leg_find(r->l->legs, r->peer);

	if (r->l->state != LEG_UP || r->l->peer)
		return;
	r->l->peer = r->peer;
	if (peer && !peer->peer && peer->pairs == r->pairs)
		peer->peer = r->l->id;
}

static void on_asked(const struct pg_answer *ans, void *arg)
{
	struct refer *r = arg;
	const int64_t code = ans->end == PG_OK ? pgres_int(ans->res, 0, "code")
					       : 0;

	if (ans->end != PG_OK)
		uas_db_failed(r->u, ans);
	else if (code == 202)
		uas_reply(r->u, 202, NULL, "Contact: <%s>\r\n%s",
			  r->l->d.local_target,
			  r->tells ? "" : "Refer-Sub: false\r\n");
	else
		uas_refuse(r->u, (uint16_t)code);
	/* where that is not known, the database goes on between the two */
	if (code != 202 && ans->err != APP_OUTCOME_UNKNOWN)
		together(r);
	told_heard(r->l->legs->told, r->l, ans, 0, pg_rows(ans));
	mem_deref(r);
}

static int ask(struct leg *l, struct uas *u, bool tells,
	       const struct pg_stmt *stmt, const struct pg_val *valv)
{
	struct refer *r = mem_zalloc(sizeof(*r), destructor);
	int err;

	if (!r)
		return ENOMEM;
	r->u = mem_ref(u);
	r->l = mem_ref(l);
	r->tells = tells;
	apart(r);
	err = pgloop_query_in(l->legs->ag->pl, PG_ALONE, (uint64_t)l->call,
			      stmt, valv, on_asked, r);
	if (err) {
		together(r);
		mem_deref(r);
	} else {
		told_question(l);
	}

	return err;
}

/* RFC 4488 section 4 */
static bool wants_notifies(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_REFER_SUB);
	struct pl list, tok;

	if (!val)
		return true;
	list = *val;

	return hdr_token(&tok, &list) || pl_strcasecmp(&tok, "false");
}

/* To an account, or to who is at the other end of another call of the phone's,
   whatever URI that has */
static int hand_on(struct leg *l, struct uas *u, const char *to,
		   const struct replaces *in)
{
	const bool tells = wants_notifies(uas_msg(u));
	const struct pg_val agent = pg_int(pgloop_agent(l->legs->ag->pl));
	const struct pg_val cseq = pg_int((int64_t)uas_msg(u)->cseq.num);

	if (in) {
		const struct pg_val valv[] = {
			agent,
			pg_int(l->id),
			cseq,
			pg_bool(tells),
			pg_pl(&in->call_id),
			pg_pl(&in->to_tag),
			pg_pl(&in->from_tag),
		};

		return ask(l, u, tells, &stmt_join, valv);
	} else {
		const struct pg_val valv[] = {
			agent, pg_int(l->id), cseq, pg_text(to), pg_bool(tells),
		};

		return ask(l, u, tells, &stmt_refer, valv);
	}
}

static int read_target(struct refer_to *r, char to[static AOR_BUF],
		       const struct agent *ag, const struct sip_msg *msg)
{
	struct uri uri;
	int err;

	if (hdr_count(msg, HDR_REFER_TO) != 1)
		return EBADMSG;
	err = refer_to_read(r, hdr_get(msg, HDR_REFER_TO));
	if (err)
		return err == ENOSYS ? EACCES : err;
	if (r->attended)
		return 0;
	if (uri_decode(&uri, &r->uri) || !settings_is_ours(ag->set, &uri))
		return EACCES;

	return settings_to_aor(ag->set, to, &r->uri) ? ENOENT : 0;
}

/**
 * A phone hands the other side on to somebody else
 *
 * @param u Its request, answered here
 */
void refer_take(struct leg *l, struct uas *u)
{
	struct refer_to r;
	char to[AOR_BUF];
	int err;

	if (l->state != LEG_UP || !leg_may_offer(l)) {
		uas_refuse_for_now(u);
		return;
	}
	err = read_target(&r, to, l->legs->ag, uas_msg(u));
	if (!err)
		err = hand_on(l, u, to, r.attended ? &r.replaces : NULL);
	if (err == ENOENT)
		uas_refuse(u, 404);
	else if (err)
		uas_fail(u, err);
}

/* --- what becomes of it ------------------------------------------------------
 */

struct notify {
	struct le le;
	struct leg *l;
	struct uac *uac;
	struct leg_request req;
};

static void notify_destructor(void *arg)
{
	struct notify *n = arg;

	list_unlink(&n->le);
	mem_deref(n->uac);
	leg_request_free(&n->req);
	if (n->l)
		n->l->notifies--;
	mem_deref(n->l);
}

/* Whatever it says: a phone that does not want to know it is in its call all
   the same */
static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	(void)code;
	(void)reason;
	(void)msg;
	mem_deref(arg);
}

static int notify_send(struct notify *n, int64_t cseq, const char *said)
{
	const bool is_last = *said != '1';
	char hdrs[HDRS_SIZE], text[BODY_SIZE];
	struct pl body;
	int err;

	(void)re_snprintf(hdrs, sizeof(hdrs),
			  "Event: refer;id=%lld\r\n"
			  "Subscription-State: %s\r\n"
			  "Content-Type: message/sipfrag;version=2.0\r\n",
			  cseq,
			  is_last ? "terminated;reason=noresource"
				  : "active;expires=90");
	if (re_snprintf(text, sizeof(text), "SIP/2.0 %s\r\n", said) < 0)
		return EMSGSIZE;
	pl_set_str(&body, text);
	err = request_write(&n->req, n->l, "NOTIFY", hdrs, &body);
	if (!err)
		err = uac_alloc(&n->uac, n->l->legs->ag, &n->req.out, on_end,
				n);
	if (!err)
		uac_start(n->uac);

	return err;
}

/**
 * Tell the phone that has asked (RFC 3515 section 2.4.5)
 *
 * @param cseq Of its REFER
 * @param said A status line without its version
 */
void refer_notify(struct leg *l, int64_t cseq, const char *said)
{
	struct notify *n;
	struct pl pl;

	pl_set_str(&pl, said ? said : "");
	if (l->state != LEG_UP || !pl.l || !uri_is_line(&pl))
		return;
	if (l->notifies >= NOTIFIES_LEG_MAX ||
	    list_count(&l->legs->notifies) >= NOTIFIES_MAX) {
		log_warn_often(1, "refer_notify_dropped",
			       LOG_INT("leg", l->id));
		return;
	}
	n = mem_zalloc(sizeof(*n), notify_destructor);
	if (!n)
		return;
	n->l = mem_ref(l);
	l->notifies++;
	list_append(&l->legs->notifies, &n->le, n);
	if (notify_send(n, cseq, said))
		mem_deref(n);
}
