/*
 * Orders are wishes: what is done already, or too late, does nothing.
 */
#include "call/orders.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/callee.h"
#include "call/caller.h"
#include "call/info.h"
#include "call/keys.h"
#include "call/load.h"
#include "call/offer/offer.h"
#include "call/offer/offered.h"
#include "call/offer/page.h"
#include "call/session/border.h"
#include "call/session/timer.h"
#include "call/tell/told.h"
#include "call/transfer/refer.h"
#include "call/word.h"
#include "common/json_write.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"

enum {
	ORDER_MAX = 256 * 1024, /* bytes of one that is handed on, as JSON */
	PUT_OFF_MAX = 32,	/* of a leg */
};

static const struct pg_stmt stmt_hand_on = {
	.name = "leg_hand_on",
	.sql = "select * from api.leg_hand_on($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

struct order {
	struct legs *legs;
	const char *kind, *reason, *cause, *sdp;
	int64_t leg, call, peer, number, ring_s;
	int code;
	struct leg *l; /* NULL: it is not ours any more */
	/* of an INVITE, which is never put off */
	const struct pg_answer *ans;
	int row;
};

/* One that waits */
struct late {
	struct le le;
	struct order o;
	char *texts[4]; /* of it, owned */
};

static void late_destructor(void *arg)
{
	struct late *late = arg;

	list_unlink(&late->le);
	for (size_t i = 0; i < ARRAY_SIZE(late->texts); i++)
		mem_deref(late->texts[i]);
}

static int copy(char **to, const char **text)
{
	const int err = *text ? str_dup(to, *text) : 0;

	*text = *to;

	return err;
}

/* NULL without memory: it is ordered again (app.expire_legs) */
static struct late *late_alloc(const struct order *o)
{
	struct late *late = mem_zalloc(sizeof(*late), late_destructor);

	if (!late)
		return NULL;
	late->o = *o;
	late->o.l = NULL;
	late->o.ans = NULL;
	if (copy(&late->texts[0], &late->o.kind) ||
	    copy(&late->texts[1], &late->o.reason) ||
	    copy(&late->texts[2], &late->o.cause) ||
	    copy(&late->texts[3], &late->o.sdp))
		return mem_deref(late);

	return late;
}

static bool is(const struct order *o, const char *kind)
{
	return !strcmp(o->kind, kind);
}

static void invite(const struct order *o)
{
	callee_call(o->legs, o->ans, o->row);
}

/* --- of legs that are not in memory ------------------------------------------
 */

static void last_word(struct legs *ls, const struct pg_answer *ans)
{
	/* one that was ours has had its answer */
	if (!lately_note(&ls->lately, pgres_text(ans->res, 0, "call_id"),
			 pgres_text(ans->res, 0, "local_tag")))
		word_say(ls, pgres_text(ans->res, 0, "last_word"),
			 pgres_text(ans->res, 0, "last_word_to"));
}

static void gone(struct legs *ls, int64_t leg, const char *cause)
{
	const struct told_end end = {.cause = cause};
	struct leg *l;

	if (leg_alloc(&l, ls, false))
		return;
	leg_set_id(l, leg);
	told_end(ls->told, l, &end, NULL);
	leg_forget(l);
	mem_deref(l);
}

static void lost_for(const struct order *o)
{
	if (is(o, "offer"))
		offer_lost(o->legs, o->leg);
	if (is(o, "info") || is(o, "dtmf"))
		info_lost(o->legs, o->leg, o->number);
}

static void on_handed_on(const struct pg_answer *ans, void *arg)
{
	struct late *late = arg;

	told_answer(late->o.legs->told, ans);
	if (ans->end != PG_OK)
		lost_for(&late->o);
	mem_deref(late);
}

static int write_order(struct buf *b, const struct order *o)
{
	buf_char(b, '{');
	json_member(b, "kind", o->kind);
	json_member_int(b, "number", o->number);
	if (o->reason)
		json_member(b, "reason", o->reason);
	if (o->cause)
		json_member(b, "cause", o->cause);
	if (o->sdp)
		json_member(b, "sdp", o->sdp);
	buf_char(b, '}');

	return b->failed ? ENOMEM : 0;
}

/* Its phone is at another agent, which is to do it. Once: a key that is
   pressed twice is another number */
static void hand_on(struct late *late)
{
	const struct order *o = &late->o;
	const struct agent *ag = o->legs->ag;
	struct buf b;
	int err;

	buf_init(&b, ORDER_MAX);
	err = write_order(&b, o);
	if (!err) {
		const struct pl json = {b.p, b.len};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ag->pl)),
			pg_int(o->leg),
			pg_pl(&json),
		};

		err = pgloop_query_in(ag->pl, PG_ALONE, (uint64_t)o->leg,
				      &stmt_hand_on, valv, on_handed_on,
				      mem_ref(late));
		if (err)
			mem_deref(late);
	}
	buf_free(&b);
	if (err)
		lost_for(o);
}

/* That the process before had made */
static void end_relay(const struct legs *ls, const struct pg_answer *ans)
{
	const char *relay = pgres_text(ans->res, 0, "relay");
	const char *tag = pgres_text(ans->res, 0, "local_tag");

	if (relay && tag)
		bridge_delete(ls->ag->ng, relay, tag);
	else if (tag && load_says(ans, "ending") &&
		 !str_cmp(pgres_text(ans->res, 0, "direction"), "out"))
		/* a phone that had not rung yet: its row was not told of it */
		bridge_delete_anywhere(ls->ag->ng, tag);
}

static void not_ours(struct late *late, const struct pg_answer *ans)
{
	const struct order *o = &late->o;

	if (load_says(ans, "elsewhere")) {
		hand_on(late);
		return;
	}
	lost_for(o);
	if (!ans || !pg_rows(ans))
		return;
	end_relay(o->legs, ans);
	if (!load_says(ans, "gone") && !load_says(ans, "expired"))
		last_word(o->legs, ans);
	gone(o->legs, o->leg,
	     load_says(ans, "expired") ? "expired" : "unreachable");
}

static void do_one(const struct order *o);

/* What is done with a leg that has been read from its row */
static void resumed(struct order *o)
{
	if (is(o, "ask"))
		timer_ask(o->l);
	else if (is(o, "offer") || is(o, "dtmf") || is(o, "info") ||
		 is(o, "notify"))
		do_one(o);
	else if (!is(o, "answer")) /* that is said again */
		bye_hang_up(o->l, o->cause);
}

/* The order may have overtaken the answer that its leg was made by, which has
   come meanwhile: the two came by two connections */
static void on_loaded(struct leg *l, const struct pg_answer *ans, void *arg)
{
	struct late *late = arg;
	struct order o = late->o;
	struct leg *mine = leg_find(o.legs, o.leg);

	o.l = mem_ref(mine ? mine : l);
	if (mine && (mine->state == LEG_CALLING || mine->state == LEG_RINGING))
		do_one(&o);
	else if (l)
		resumed(&o);
	else if (!mine)
		not_ours(late, ans);
	mem_deref(o.l);
}

/* It may be of the process before, or have lost its connection */
static void load(const struct order *o)
{
	struct late *late = late_alloc(o);

	if (!late)
		return;
	if (load_leg(o->legs, o->leg, on_loaded, late))
		not_ours(late, NULL);
	mem_deref(late);
}

/* --- the others --------------------------------------------------------------
 */

static void progress(const struct order *o)
{
	if (o->l)
		caller_progress(o->l, o->code, o->reason);
	else /* its INVITE was refused, by what we knew */
		load(o);
}

/* Each side knows the other's leg from here on, if nothing newer has said so */
static void answer(const struct order *o)
{
	struct leg *peer;

	if (!o->l) {
		load(o);
		return;
	}
	peer = leg_find(o->legs, o->peer);
	if (!o->l->pairs)
		o->l->peer = o->peer;
	if (peer && !o->l->pairs && !peer->pairs) {
		peer->peer = o->l->id;
		o->l->apart = peer->apart = peer->session.border != NULL;
	}
	caller_answer(o->l, o->sdp);
}

static void fail(const struct order *o)
{
	if (o->l)
		caller_fail(o->l, o->code, o->reason, o->cause);
	else
		load(o);
}

static void cancel(const struct order *o)
{
	if (o->l)
		callee_cancel(o->l, o->cause);
	else
		load(o);
}

/* The order to answer it may have been overtaken: then it still rings */
static void bye(const struct order *o)
{
	if (!o->l)
		load(o);
	else if (o->l->in &&
		 (o->l->state == LEG_CALLING || o->l->state == LEG_RINGING))
		caller_gone(o->l, "hangup");
	else
		bye_hang_up(o->l, o->cause);
}

/* Is its phone there? Of those in memory their own turn comes (timer.c) */
static void ask(const struct order *o)
{
	if (!o->l)
		load(o);
}

/* Another agent has it now */
static void left(const struct order *o)
{
	if (o->l)
		leg_unload(o->l);
}

static void won(const struct order *o)
{
	if (o->l)
		callee_won(o->l, o->sdp);
}

static void lost(const struct order *o)
{
	if (o->l)
		callee_lost(o->l, o->cause);
}

/* The other side offers, or asks for an offer */
static void offer(const struct order *o)
{
	if (o->l)
		offered_begin(o->l, o->sdp);
	else
		load(o);
}

/* It answers */
static void accept_offer(const struct order *o)
{
	if (o->l && !page_accept(o->l, o->sdp))
		callee_accept(o->l, o->sdp);
}

static void refuse(const struct order *o)
{
	if (o->l)
		page_refuse(o->l, o->code);
}

static void wait(const struct order *o)
{
	if (o->l)
		page_wait(o->l, o->ring_s);
}

/* The other side's phone has something to say */
static void info(const struct order *o)
{
	const struct info_text said = {o->reason, o->cause, o->sdp};

	if (o->l)
		info_send(o->l, o->number, &said);
	else
		load(o);
}

/* REST has pressed keys */
static void dtmf(const struct order *o)
{
	if (o->l)
		keys_press(o->l, o->number, o->sdp);
	else
		load(o);
}

/* What it has said to it */
static void informed(const struct order *o)
{
	info_answer(o->legs, o->number, o->code);
}

/* Which leg it speaks to without the database, but for what it offers where
   number says so */
static void pair(const struct order *o)
{
	if (!o->l)
		return;
	o->l->peer = o->peer;
	o->l->call = o->call;
	o->l->apart = o->number;
	o->l->pairs++;
}

/* What has become of its REFER */
static void notify(const struct order *o)
{
	if (o->l)
		refer_notify(o->l, o->number, o->reason);
	else
		load(o);
}

static const struct {
	const char *kind;
	void (*h)(const struct order *o);
} kinds[] = {
	{"invite", invite}, {"progress", progress},
	{"answer", answer}, {"fail", fail},
	{"cancel", cancel}, {"bye", bye},
	{"won", won},	    {"lost", lost},
	{"ask", ask},	    {"left", left},
	{"offer", offer},   {"accept", accept_offer},
	{"refuse", refuse}, {"wait", wait},
	{"info", info},	    {"informed", informed},
	{"dtmf", dtmf},	    {"pair", pair},
	{"notify", notify},
};

static void do_one(const struct order *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (is(o, kinds[i].kind))
			kinds[i].h(o);
	}
}

/* --- in their turn -----------------------------------------------------------
 */

struct asking {
	const char *call_id, *tag;
};

static bool asking_handler(struct le *le, void *arg)
{
	const struct leg *l = le->data;
	const struct asking *a = arg;

	return l->state == LEG_ASKING && l->in &&
	       !str_cmp(l->d.call_id, a->call_id) &&
	       !str_cmp(l->d.local_tag, a->tag);
}

/* One that the database has made has no id here before its answer: it is found
   by its dialog, which an order names where others may have caused it */
static struct leg *find(const struct order *o)
{
	struct leg *l = leg_find(o->legs, o->leg);
	struct asking a = {
		.call_id = pgres_text(o->ans->res, o->row, "sip_call_id"),
		.tag = pgres_text(o->ans->res, o->row, "local_tag"),
	};

	if (l || !a.call_id || !a.tag)
		return l;

	return list_ledata(hash_lookup(o->legs->by_call_id,
				       hash_joaat_str(a.call_id),
				       asking_handler, &a));
}

/* The database is being asked about its leg: what that has come to is older */
static bool put_off(const struct order *o)
{
	struct late *late;

	if (!o->l || !o->l->asks || list_count(&o->l->orders) >= PUT_OFF_MAX)
		return false;
	late = late_alloc(o);
	if (!late)
		return false;
	list_append(&o->l->orders, &late->le, late);

	return true;
}

static void read_order(struct order *o)
{
	const PGresult *res = o->ans->res;

	o->kind = pgres_text(res, o->row, "kind");
	o->reason = pgres_text(res, o->row, "reason");
	o->cause = pgres_text(res, o->row, "cause");
	o->sdp = pgres_text(res, o->row, "sdp");
	o->leg = pgres_int(res, o->row, "leg");
	o->call = pgres_int(res, o->row, "call");
	o->peer = pgres_int(res, o->row, "peer");
	o->number = pgres_int(res, o->row, "number");
	o->ring_s = pgres_int(res, o->row, "ring_s");
	o->code = (int)pgres_int(res, o->row, "code");
}

/**
 * Do the orders of an answer, or of a part of it
 *
 * @param ans  One that went well, with rows of app.leg_work
 * @param row  The first
 * @param rows How many
 */
void orders_do(struct legs *ls, const struct pg_answer *ans, int row, int rows)
{
	const int end = row + rows;

	for (; row < end; row++) {
		struct order o = {.legs = ls, .ans = ans, .row = row};

		read_order(&o);
		if (!o.kind)
			continue;
		o.l = mem_ref(find(&o));
		if (!put_off(&o))
			do_one(&o);
		mem_deref(o.l);
	}
}

/** Do those that were put off, now that nothing is asked about their leg */
void orders_put_off(struct leg *l)
{
	struct late *late;

	while (!l->asks && (late = list_ledata(list_head(&l->orders)))) {
		struct order o = late->o;

		list_unlink(&late->le);
		o.l = mem_ref(leg_find(o.legs, o.leg));
		if (o.legs->ag->pl) /* this process is not at its end */
			do_one(&o);
		mem_deref(o.l);
		mem_deref(late);
	}
}
