/*
 * Orders are wishes: what is done already, or too late, does nothing.
 */
#include "call/orders.h"

#include "call/bye.h"
#include "call/callee.h"
#include "call/caller.h"
#include "call/told.h"
#include "pg/pgloop.h"

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

/* What it is for is not there (any more): it has ended */
static void gone(const struct order *o)
{
	const struct told_end end = {.code = 0};
	struct leg *l;

	if (leg_alloc(&l, o->legs, false))
		return;
	leg_set_id(l, pgres_int(o->ans->res, o->row, "leg"));
	told_end(o->legs->told, l, &end, NULL);
	leg_forget(l);
	mem_deref(l);
}

static void invite(const struct order *o)
{
	callee_call(o->legs, o->ans, o->row);
}

static void progress(const struct order *o)
{
	if (o->l)
		caller_progress(o->l,
				(int)pgres_int(o->ans->res, o->row, "code"),
				text(o, "reason"));
}

/* Each side knows the other's leg from here on */
static void answer(const struct order *o)
{
	struct leg *peer;

	if (!o->l) {
		gone(o);
		return;
	}
	o->l->peer = pgres_int(o->ans->res, o->row, "peer");
	peer = leg_find(o->legs, o->l->peer);
	if (peer)
		peer->peer = o->l->id;
	caller_answer(o->l, text(o, "sdp"));
}

static void fail(const struct order *o)
{
	if (o->l)
		caller_fail(o->l, (int)pgres_int(o->ans->res, o->row, "code"),
			    text(o, "reason"), text(o, "cause"));
}

static void cancel(const struct order *o)
{
	if (o->l)
		callee_cancel(o->l, text(o, "cause"));
	else
		gone(o);
}

/* The order to answer it may have been overtaken: then it still rings */
static void bye(const struct order *o)
{
	if (!o->l)
		gone(o);
	else if (o->l->in &&
		 (o->l->state == LEG_CALLING || o->l->state == LEG_RINGING))
		caller_gone(o->l, "hangup");
	else
		bye_hang_up(o->l, text(o, "cause"));
}

static void won(const struct order *o)
{
	if (o->l)
		callee_won(o->l);
}

static void lost(const struct order *o)
{
	if (o->l)
		callee_lost(o->l, text(o, "cause"));
}

static const struct {
	const char *kind;
	void (*h)(const struct order *o);
} kinds[] = {
	{"invite", invite}, {"progress", progress}, {"answer", answer},
	{"fail", fail},	    {"cancel", cancel},	    {"bye", bye},
	{"won", won},	    {"lost", lost},
};

static void do_one(const struct order *o, const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!str_cmp(kind, kinds[i].kind))
			kinds[i].h(o);
	}
}

/**
 * Do the orders of an answer
 *
 * @param ans One that went well, with rows of app.leg_work
 */
void orders_do(struct legs *ls, const struct pg_answer *ans)
{
	const int n = pg_rows(ans);

	for (int row = 0; row < n; row++) {
		struct order o = {.legs = ls, .ans = ans, .row = row};
		const char *kind = text(&o, "kind");

		if (!kind)
			continue;
		o.l = mem_ref(leg_find(ls, pgres_int(ans->res, row, "leg")));
		do_one(&o, kind);
		mem_deref(o.l);
	}
}
