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
};

static const struct pg_stmt stmt_hand_on = {
	.name = "leg_hand_on",
	.sql = "select * from api.leg_hand_on($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

struct order {
	struct legs *legs;
	const struct pg_answer *ans;
	int row;
	struct leg *l; /* NULL: it is not ours any more */
};

static const char *text(const struct order *o, const char *column)
{
	return pgres_text(o->ans->res, o->row, column);
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

/* An order that waits for its leg */
struct late {
	struct legs *legs;
	int64_t leg, number;
	char *kind, *reason, *cause, *sdp;
};

static void late_destructor(void *arg)
{
	struct late *late = arg;

	mem_deref(late->kind);
	mem_deref(late->reason);
	mem_deref(late->cause);
	mem_deref(late->sdp);
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

static void info_late(struct leg *l, const struct late *late)
{
	const struct info_text text = {late->reason, late->cause, late->sdp};

	info_send(l, late->number, &text);
}

static void lost_for(const struct late *late)
{
	if (!strcmp(late->kind, "offer"))
		offer_lost(late->legs, late->leg);
	if (!strcmp(late->kind, "info") || !strcmp(late->kind, "dtmf"))
		info_lost(late->legs, late->leg, late->number);
}

static void on_handed_on(const struct pg_answer *ans, void *arg)
{
	struct late *late = arg;

	told_answer(late->legs->told, ans);
	if (ans->end != PG_OK)
		lost_for(late);
	mem_deref(late);
}

static int write_order(struct buf *b, const struct late *late)
{
	buf_char(b, '{');
	json_member(b, "kind", late->kind);
	json_member_int(b, "number", late->number);
	if (late->reason)
		json_member(b, "reason", late->reason);
	if (late->cause)
		json_member(b, "cause", late->cause);
	if (late->sdp)
		json_member(b, "sdp", late->sdp);
	buf_char(b, '}');

	return b->failed ? ENOMEM : 0;
}

/* Its phone is at another agent, which is to do it. Once: a key that is
   pressed twice is another number */
static void hand_on(struct late *late)
{
	const struct agent *ag = late->legs->ag;
	struct buf b;
	int err;

	buf_init(&b, ORDER_MAX);
	err = write_order(&b, late);
	if (!err) {
		const struct pl json = {b.p, b.len};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ag->pl)),
			pg_int(late->leg),
			pg_pl(&json),
		};

		err = pgloop_query_in(ag->pl, PG_ALONE, (uint64_t)late->leg,
				      &stmt_hand_on, valv, on_handed_on,
				      mem_ref(late));
		if (err)
			mem_deref(late);
	}
	buf_free(&b);
	if (err)
		lost_for(late);
}

/* That the process before had made */
static void end_relay(const struct legs *ls, const struct pg_answer *ans)
{
	const char *relay = pgres_text(ans->res, 0, "relay");
	const char *tag = pgres_text(ans->res, 0, "local_tag");

	if (relay && tag)
		bridge_delete(ls->ag->ng, relay, tag);
}

static void not_ours(struct late *late, const struct pg_answer *ans)
{
	if (load_says(ans, "elsewhere")) {
		hand_on(late);
		return;
	}
	lost_for(late);
	if (!ans || !pg_rows(ans))
		return;
	end_relay(late->legs, ans);
	if (!load_says(ans, "gone") && !load_says(ans, "expired"))
		last_word(late->legs, ans);
	gone(late->legs, late->leg,
	     load_says(ans, "expired") ? "expired" : "unreachable");
}

/* The order has overtaken the answer that its leg was made by: the two came by
   two connections */
static void overtook(struct leg *l, const struct late *late)
{
	if (!l->in) {
		if (!strcmp(late->kind, "cancel"))
			callee_cancel(l, late->cause);
	} else if (!strcmp(late->kind, "answer"))
		caller_answer(l, late->sdp);
	else if (!strcmp(late->kind, "fail") || !strcmp(late->kind, "bye"))
		caller_gone(l, "hangup");
}

static void on_loaded(struct leg *l, const struct pg_answer *ans, void *arg)
{
	struct late *late = arg;
	struct leg *mine = mem_ref(leg_find(late->legs, late->leg));

	if (mine && (mine->state == LEG_CALLING || mine->state == LEG_RINGING))
		overtook(mine, late);
	else if (l && !strcmp(late->kind, "ask"))
		timer_ask(l);
	else if (l && !strcmp(late->kind, "offer"))
		offered_begin(l, late->sdp);
	else if (l && !strcmp(late->kind, "dtmf"))
		keys_press(l, late->number, late->sdp);
	else if (l && !strcmp(late->kind, "info"))
		info_late(l, late);
	else if (l && !strcmp(late->kind, "notify"))
		refer_notify(l, late->number, late->reason);
	else if (l && strcmp(late->kind, "answer")) /* that is said again */
		bye_hang_up(l, late->cause);
	else if (!l && !mine)
		not_ours(late, ans);
	mem_deref(mine);
}

static int copy(char **to, const char *text)
{
	return text ? str_dup(to, text) : 0;
}

/* It may be of the process before, or have lost its connection */
static void late(const struct order *o)
{
	struct late *late = mem_zalloc(sizeof(*late), late_destructor);

	if (!late)
		return; /* it is ordered again (app.expire_legs) */
	late->legs = o->legs;
	late->leg = pgres_int(o->ans->res, o->row, "leg");
	late->number = pgres_int(o->ans->res, o->row, "number");
	if (!copy(&late->kind, text(o, "kind")) &&
	    !copy(&late->reason, text(o, "reason")) &&
	    !copy(&late->cause, text(o, "cause")) &&
	    !copy(&late->sdp, text(o, "sdp")) &&
	    load_leg(o->legs, late->leg, on_loaded, late))
		not_ours(late, NULL);
	mem_deref(late);
}

/* --- the others --------------------------------------------------------------
 */

static void progress(const struct order *o)
{
	if (o->l)
		caller_progress(o->l,
				(int)pgres_int(o->ans->res, o->row, "code"),
				text(o, "reason"));
	else /* its INVITE was refused, by what we knew */
		late(o);
}

/* Each side knows the other's leg from here on */
static void answer(const struct order *o)
{
	struct leg *peer;

	if (!o->l) {
		late(o);
		return;
	}
	o->l->peer = pgres_int(o->ans->res, o->row, "peer");
	peer = leg_find(o->legs, o->l->peer);
	if (peer) {
		peer->peer = o->l->id;
		o->l->apart = peer->apart = peer->session.border != NULL;
	}
	caller_answer(o->l, text(o, "sdp"));
}

static void fail(const struct order *o)
{
	if (o->l)
		caller_fail(o->l, (int)pgres_int(o->ans->res, o->row, "code"),
			    text(o, "reason"), text(o, "cause"));
	else
		late(o);
}

static void cancel(const struct order *o)
{
	if (o->l)
		callee_cancel(o->l, text(o, "cause"));
	else
		late(o);
}

/* The order to answer it may have been overtaken: then it still rings */
static void bye(const struct order *o)
{
	if (!o->l)
		late(o);
	else if (o->l->in &&
		 (o->l->state == LEG_CALLING || o->l->state == LEG_RINGING))
		caller_gone(o->l, "hangup");
	else
		bye_hang_up(o->l, text(o, "cause"));
}

/* Is its phone there? Of those in memory their own turn comes (timer.c) */
static void ask(const struct order *o)
{
	if (!o->l)
		late(o);
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
		callee_won(o->l, text(o, "sdp"));
}

static void lost(const struct order *o)
{
	if (o->l)
		callee_lost(o->l, text(o, "cause"));
}

/* The other side offers, or asks for an offer */
static void offer(const struct order *o)
{
	if (o->l)
		offered_begin(o->l, text(o, "sdp"));
	else
		late(o);
}

/* It answers */
static void accept_offer(const struct order *o)
{
	if (o->l && !page_accept(o->l, text(o, "sdp")))
		callee_accept(o->l, text(o, "sdp"));
}

static void refuse(const struct order *o)
{
	if (o->l)
		page_refuse(o->l, (int)pgres_int(o->ans->res, o->row, "code"));
}

static void wait(const struct order *o)
{
	if (o->l)
		page_wait(o->l, pgres_int(o->ans->res, o->row, "ring_s"));
}

/* The other side's phone has something to say */
static void info(const struct order *o)
{
	const struct info_text said = {text(o, "reason"), text(o, "cause"),
				       text(o, "sdp")};

	if (o->l)
		info_send(o->l, pgres_int(o->ans->res, o->row, "number"),
			  &said);
	else
		late(o);
}

/* REST has pressed keys */
static void dtmf(const struct order *o)
{
	if (o->l)
		keys_press(o->l, pgres_int(o->ans->res, o->row, "number"),
			   text(o, "sdp"));
	else
		late(o);
}

/* What it has said to it */
static void informed(const struct order *o)
{
	info_answer(o->legs, pgres_int(o->ans->res, o->row, "number"),
		    (int)pgres_int(o->ans->res, o->row, "code"));
}

/* Which leg it speaks to without the database, but for what it offers where
   number says so */
static void pair(const struct order *o)
{
	if (!o->l)
		return;
	o->l->peer = pgres_int(o->ans->res, o->row, "peer");
	o->l->call = pgres_int(o->ans->res, o->row, "call");
	o->l->apart = pgres_int(o->ans->res, o->row, "number");
}

/* What has become of its REFER */
static void notify(const struct order *o)
{
	if (o->l)
		refer_notify(o->l, pgres_int(o->ans->res, o->row, "number"),
			     text(o, "reason"));
	else
		late(o);
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

static void do_one(const struct order *o, const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!str_cmp(kind, kinds[i].kind))
			kinds[i].h(o);
	}
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
		const char *kind = text(&o, "kind");

		if (!kind)
			continue;
		o.l = mem_ref(leg_find(ls, pgres_int(ans->res, row, "leg")));
		do_one(&o, kind);
		mem_deref(o.l);
	}
}
