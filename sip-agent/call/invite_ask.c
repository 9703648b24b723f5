/*
 * The database is asked for a call, alone or with others of the moment, and
 * what it says is what the INVITE comes to.
 */
#include "call/invite_ask.h"

#include <errno.h>

#include "agent.h"
#include "call/caller.h"
#include "call/order/orders.h"
#include "call/session/border.h"
#include "call/session/session.h"
#include "call/tell/told.h"
#include "common/json_write.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"
#include "transaction/answer.h"
#include "transaction/uas.h"

enum {
	JSON_MAX = 16 * 1024,
	SHOWN_MAX = 6 * LEG_SDP_MAX, /* as JSON: what pages are offered */
	ITEM_MAX = 512 * 1024,	     /* bytes of an INVITE, as JSON */
	ITEMS_MAX = 64,		     /* INVITEs of a statement */
	/* each costs by itself: what waits meanwhile goes together */
	BATCHES_AT_ONCE = 1,
};

static const struct pg_stmt stmt_invite = {
	.name = "sip_invite",
	.sql = "select * from "
	       "api.sip_invite($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nparams = 9,
	.write = true,
};

static const struct pg_stmt stmt_pickup = {
	.name = "sip_pickup",
	.sql = "select * from "
	       "api.sip_pickup($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nparams = 9,
	.write = true,
};

static const struct pg_stmt stmt_invites = {
	.name = "sip_invite_many",
	.sql = "select * from api.sip_invite_many($1, $2)",
	.nparams = 2,
	.write = true,
};

/* An INVITE that the database is asked for */
struct asking {
	struct leg *l;
	struct auth_id id;
	char to[AOR_BUF];
	struct buf leg;	    /* its dialog, as JSON */
	char *sdp;	    /* NULL: none */
	int64_t ring_s;	    /* 0: the caller does not say */
	int unshown;	    /* why no relay says to pages what is offered */
	struct replaces in; /* whose place it takes; of the leg's message.
			       Without Call-ID: nobody's */
};

/** Open what this file needs of an agent that has its database */
int invite_ask_open(struct agent *ag)
{
	static const struct pgbatch_conf conf = {
		.stmt = &stmt_invites,
		.line = PG_ASKED,
		.at_once = BATCHES_AT_ONCE,
		.items = ITEMS_MAX,
	};

	return pgbatch_alloc(&ag->invites, ag->pl, &conf);
}

static void asking_destructor(void *arg)
{
	struct asking *a = arg;

	buf_free(&a->leg);
	mem_deref(a->sdp);
	mem_deref(a->l);
}

/* --- the answer --------------------------------------------------------- */

static void failed(const struct asking *a, const struct pg_answer *ans)
{
	const struct told_end unseen = {
		.code = 503, .cause = "agent-lost", .unseen = true};
	struct leg *l = a->l;

	if (ans->end == PG_AWAY)
		told_end(l->legs->told, l, &unseen, NULL);
	/* whoever has cancelled has had his answer */
	uas_set_cancel(l->u, NULL, NULL);
	uas_set_tag(l->u, l->d.local_tag);
	if (a->unshown && ans->end == PG_REFUSED && ans->status == 488)
		uas_reply(l->u, 488, bridge_why(a->unshown), NULL);
	else
		auth_db_failed(l->u, l->aor, ans);
	leg_forget(l);
	told_heard(l->legs->told, l, ans, 0, 0);
}

/* It is nobody's place to take */
static void refused(struct leg *l, uint16_t code)
{
	uas_set_cancel(l->u, NULL, NULL);
	uas_refuse(l->u, code);
	leg_forget(l);
}

static void made(struct leg *l, const struct pg_answer *ans, int row, int rows)
{
	const struct told_end cancelled = {.code = 487, .cause = "cancelled"};
	struct legs *ls = l->legs;

	if (!str_cmp(pgres_text(ans->res, row, "kind"), "refused")) {
		refused(l, (uint16_t)pgres_int(ans->res, row, "code"));
		told_heard(ls->told, l, ans, row + 1, rows - 1); /* others' */
		return;
	}
	leg_set_id(l, pgres_int(ans->res, row, "leg"));
	l->call = pgres_int(ans->res, row, "call");
	l->account = pgres_int(ans->res, row, "account");
	if (l->cancelled) {
		l->state = LEG_ENDING;
		told_end(l->legs->told, l, &cancelled, NULL);
		leg_forget(l);
	} else {
		caller_made(
			l, 1000 * (uint64_t)pgres_int(ans->res, row, "ring_s"));
	}
	told_heard(ls->told, l, ans, row, rows);
}

static void show(struct asking *a);

static void take_answer(struct asking *a, const struct pg_answer *ans, int row,
			int rows)
{
	if (ans->end == PG_OK &&
	    !str_cmp(pgres_text(ans->res, row, "kind"), "show")) {
		a->l->account = pgres_int(ans->res, row, "account");
		orders_do(a->l->legs, ans, row + 1, rows - 1); /* others' */
		show(a);
		return;
	}
	if (ans->end == PG_OK)
		made(a->l, ans, row, rows);
	else
		failed(a, ans);
	mem_deref(a);
}

/* --- the question ------------------------------------------------------- */

/* What the caller hears where we are no more; over a connection its end says
   so. With what a 200 of our successor has to say, too (caller_resume) */
static void write_word(struct buf *b, const struct leg *l)
{
	const struct answer gone = {.scode = 503, .dialog = true};
	const struct sip_msg *msg = uas_msg(l->u);
	struct told_word word = {.mb = NULL};

	if (msg->tp != SIP_TRANSP_UDP)
		return;
	if (!answer_encode(&word.mb, &word.to, msg, &gone))
		told_word(b, &word);
	mem_deref(word.mb);
}

static int write_leg(struct buf *b, const struct leg *l, int64_t hops)
{
	buf_char(b, '{');
	leg_json(b, l);
	if (l->flow)
		json_member(b, "flow", l->flow);
	json_member_int(b, "hops", hops);
	session_json(b, l);
	write_word(b, l);
	buf_char(b, '}');

	return b->failed ? ENOMEM : 0;
}

static void on_invited(const struct pg_answer *ans, void *arg)
{
	take_answer(arg, ans, 0, pg_rows(ans));
}

/* Any INVITE, in a statement of its own */
static int ask_alone(struct asking *a)
{
	const struct agent *ag = a->l->legs->ag;
	const struct pl json = {a->leg.p, a->leg.len};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(a->id.credential),
		pg_text(a->id.ha1),
		pg_text(a->to),
		pg_pl(&json),
		pg_text(a->sdp),
		pg_null(),
		a->ring_s ? pg_int(a->ring_s) : pg_null(),
		pg_bool(a->l->secure),
	};

	return pgloop_query_alone(ag->pl, a->id.aor, &stmt_invite, valv,
				  on_invited, a);
}

static int ask_pickup(struct asking *a)
{
	const struct agent *ag = a->l->legs->ag;
	const struct pl json = {a->leg.p, a->leg.len};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ag->pl)),
		pg_int(a->id.credential),
		pg_text(a->id.ha1),
		pg_pl(&json),
		pg_text(a->sdp),
		pg_bool(a->l->secure),
		pg_pl(&a->in.call_id),
		pg_pl(&a->in.to_tag),
		pg_pl(&a->in.from_tag),
	};

	return pgloop_query_alone(ag->pl, a->id.aor, &stmt_pickup, valv,
				  on_invited, a);
}

static void not_asked(struct asking *a, int err)
{
	uas_set_cancel(a->l->u, NULL, NULL);
	uas_fail(a->l->u, err);
	leg_forget(a->l);
	mem_deref(a);
}

static void on_batch(const struct pg_answer *ans, int row, int rows, void *arg)
{
	struct asking *a = arg;
	int err = 0;

	if (rows || ans->end != PG_OK)
		take_answer(a, ans, row, rows);
	else
		err = ask_alone(a);
	if (err)
		not_asked(a, err);
}

/* What the callee's pages are to be offered, or that no relay can say it */
static void on_shown(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct asking *a = arg;
	char *shown = NULL;

	if (!err)
		err = pl_strdup(&shown, sdp);
	a->leg.p[--a->leg.len] = '\0'; /* its closing bracket */
	a->leg.max += SHOWN_MAX;
	json_member(&a->leg, "shown", shown ? shown : "");
	a->unshown = err;
	if (err)
		border_close(&l->session.border);
	else
		json_member(&a->leg, "relay", border_relay(l->session.border));
	buf_char(&a->leg, '}');
	mem_deref(shown);
	err = a->leg.failed	     ? ENOMEM
	      : l->state == LEG_GONE ? ECANCELED
				     : ask_alone(a);
	if (err)
		not_asked(a, err);
}

/* The callee has pages, which do not speak what the caller's phone does */
static void show(struct asking *a)
{
	const struct pl sdp = {a->sdp, str_len(a->sdp)};
	struct leg *l = a->l;
	int err;

	err = border_open(&l->session.border, l, l->legs->ag->ng, l->account,
			  false, l->d.local_tag);
	if (!err)
		err = border_say(l->session.border, BRIDGE_OFFER, true, &sdp,
				 on_shown, a);
	if (err)
		on_shown(l, err, NULL, a);
}

/* The usual one, together with others of the moment */
static int ask_batch(struct asking *a)
{
	struct buf item;
	int err;

	buf_init(&item, ITEM_MAX);
	json_member_int(&item, "credential", a->id.credential);
	json_member(&item, "ha1", a->id.ha1);
	json_member(&item, "aor", a->to);
	json_key(&item, "leg");
	buf_add(&item, a->leg.p, a->leg.len);
	json_member(&item, "sdp", a->sdp);
	if (a->ring_s)
		json_member_int(&item, "ring_s", a->ring_s);
	buf_char(&item, '}');
	err = pgbatch_ask(a->l->legs->ag->invites, &item, on_batch, a);
	buf_free(&item);

	return err;
}

/**
 * Ask the database for the call that an INVITE wants to make; its answer is the
 * INVITE's, and gives the leg its id
 *
 * @param l    Leg with its dialog and its request; referenced until the answer
 * @param what Copied, but for what borrows from the leg's request
 *
 * @return 0 or errno: then nothing is asked
 */
int invite_ask(struct leg *l, const struct invite_what *what)
{
	struct asking *a = mem_zalloc(sizeof(*a), asking_destructor);
	int err;

	if (!a)
		return ENOMEM;
	a->l = mem_ref(l);
	a->id = *what->id;
	a->in = what->in;
	a->ring_s = what->ring_s;
	str_ncpy(a->to, what->to, sizeof(a->to));
	buf_init(&a->leg, JSON_MAX);
	err = write_leg(&a->leg, l, what->hops);
	if (!err && what->sdp.l)
		err = pl_strdup(&a->sdp, &what->sdp);
	if (!err)
		err = a->in.call_id.l ? ask_pickup(a)
		      : l->secure     ? ask_alone(a)
				      : ask_batch(a);
	if (err)
		mem_deref(a);
	else
		told_question(l);

	return err;
}
