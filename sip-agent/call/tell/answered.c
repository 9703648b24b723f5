/*
 * A phone has answered: was it the first? The usual 200s are asked about
 * together, others alone.
 */
#include "call/tell/answered.h"

#include <errno.h>

#include "agent.h"
#include "call/session/session.h"
#include "call/tell/told.h"
#include "common/json_write.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"

enum {
	ITEMS_MAX = 64,		 /* of a statement */
	ITEM_MAX = 512 * 1024,	 /* bytes of one of them, as JSON */
	DIALOG_MAX = 256 * 1024, /* with what its phone says to a relay */
};

static const struct pg_stmt stmt_answered = {
	.name = "leg_answered",
	.sql = "select * from api.leg_answered($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};
static const struct pg_stmt stmt_answers = {
	.name = "leg_answered_many",
	.sql = "select * from api.leg_answered_many($1, $2)",
	.nparams = 2,
	.write = true,
};

/** Open what this file needs of an agent that has its database */
int answered_open(struct agent *ag)
{
	static const struct pgbatch_conf conf = {
		.stmt = &stmt_answers,
		.line = PG_ASKED,
		.at_once = 1, /* what comes meanwhile goes together */
		.items = ITEMS_MAX,
	};

	return pgbatch_alloc(&ag->answers, ag->pl, &conf);
}

struct answered {
	struct leg *l;
	char *dialog; /* JSON */
	char *sdp;    /* NULL: none */
	told_done_h *h;
};

static void answered_destructor(void *arg)
{
	struct answered *a = arg;

	mem_deref(a->dialog);
	mem_deref(a->sdp);
	mem_deref(a->l);
}

static void heard_answered(struct answered *a, const struct pg_answer *ans,
			   int row, int rows)
{
	if (ans->end != PG_OK)
		a->h(a->l, false);
	told_heard(a->l->legs->told, a->l, ans, row, rows);
	mem_deref(a);
}

static void on_answered(const struct pg_answer *ans, void *arg)
{
	heard_answered(arg, ans, 0, pg_rows(ans));
}

/* Any 200, in a statement of its own */
static int ask_alone(struct answered *a)
{
	struct pgloop *pl = a->l->legs->ag->pl;
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(pl)),
		pg_int(a->l->id),
		pg_text(a->dialog),
		pg_text(a->sdp),
	};

	return pgloop_query_in(pl, PG_ALONE, (uint64_t)a->l->call,
			       &stmt_answered, valv, on_answered, a);
}

static void on_answers(const struct pg_answer *ans, int row, int rows,
		       void *arg)
{
	struct answered *a = arg;

	if (rows || ans->end != PG_OK) {
		heard_answered(a, ans, row, rows);
	} else if (ask_alone(a)) {
		a->h(a->l, false);
		told_heard(a->l->legs->told, a->l, ans, 0, 0);
		mem_deref(a);
	}
}

static int write_dialog(char **textp, const struct leg *l)
{
	struct buf b;
	int err;

	buf_init(&b, DIALOG_MAX);
	buf_char(&b, '{');
	leg_json(&b, l);
	session_json(&b, l);
	buf_char(&b, '}');
	err = b.failed ? ENOMEM : str_dup(textp, b.p);
	buf_free(&b);

	return err;
}

/* The usual one, together with others of the moment */
static int ask_batch(struct answered *a)
{
	struct buf item;
	int err;

	buf_init(&item, ITEM_MAX);
	json_member_int(&item, "leg", a->l->id);
	json_key(&item, "dialog");
	buf_str(&item, a->dialog);
	json_member(&item, "sdp", a->sdp);
	buf_char(&item, '}');
	err = pgbatch_ask(a->l->legs->ag->answers, &item, on_answers, a);
	buf_free(&item);

	return err;
}

/**
 * A phone has answered: was it the first?
 *
 * The orders say won or lost.
 *
 * @param sdp Of its 200; may be empty
 * @param h   Called where the database does not say
 *
 * @return 0, or errno where the database cannot be asked
 */
int answered_ask(struct leg *l, const struct pl *sdp, told_done_h *h)
{
	struct answered *a = mem_zalloc(sizeof(*a), answered_destructor);
	int err;

	if (!a)
		return ENOMEM;
	a->h = h;
	a->l = mem_ref(l);
	err = write_dialog(&a->dialog, l);
	if (!err && sdp->l)
		err = pl_strdup(&a->sdp, sdp);
	if (!err)
		err = ask_batch(a);
	if (err)
		mem_deref(a);
	else
		told_question(l);

	return err;
}
