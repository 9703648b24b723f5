/*
 * A right response is served, if its nonce's count is new and From is the user.
 * A wrong one is a guess: it is counted before it is answered.
 */
#include "auth/verdict.h"

#include "agent.h"
#include "auth/challenge.h"
#include "auth/step.h"
#include "common/aor.h"
#include "common/json_write.h"
#include "gate/budget.h"
#include "gate/nonce.h"
#include "logre.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"

static const struct pg_stmt stmt_failed = {
	.name = "digest_failed",
	.sql = "select api.digest_failed($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

static const struct pg_stmt stmt_known = {
	.name = "digest_known",
	.sql = "select * from api.digest_known($1, $2)",
	.nparams = 2,
};

/** Open what this file needs of an agent that has its database */
int verdict_open(struct agent *ag)
{
	static const struct pgbatch_conf conf = {
		.stmt = &stmt_known,
		.line = PG_ASKED,
		.at_once = AUTH_QUESTIONS_AT_ONCE,
		.items = PGBATCH_MAX,
	};

	return pgbatch_alloc(&ag->known, ag->pl, &conf);
}

static void log_failed(const struct auth *a, const char *why)
{
	uint32_t suppressed;

	if (budget_may_log(uas_agent(a->u)->budget, tmr_jiffies(), &suppressed))
		log_info("auth_failed", LOG_STR("request_id", uas_id(a->u)),
			 LOG_SA("source", &uas_msg(a->u)->src),
			 LOG_STR("username", a->digest.username),
			 LOG_STR("why", why),
			 LOG_INT("suppressed", suppressed));
}

/** Charge its source, which had a nonce of ours, so that it is where it says */
void verdict_charge(const struct auth *a)
{
	budget_bad(uas_agent(a->u)->budget, BUDGET_SHOWN, &uas_msg(a->u)->src,
		   tmr_jiffies());
}

static void on_failed(const struct pg_answer *ans, void *arg)
{
	struct auth *a = arg;

	if (ans->end != PG_OK) {
		uas_db_failed(a->u, ans);
		mem_deref(a);
		return;
	}
	challenge_ask(a);
}

/**
 * The response is wrong, or there is no such user
 *
 * @param a Its reference is taken over
 */
void verdict_wrong(struct auth *a)
{
	const struct pg_val valv[] = {pg_text(a->digest.username),
				      pg_text(a->realm), pg_text(a->source)};
	const struct agent *ag = uas_agent(a->u);
	int err;

	verdict_charge(a);
	log_failed(a, "response");
	err = pgloop_query(ag->pl, &stmt_failed, valv, on_failed, a);
	if (err)
		step_fail(a, err);
}

static void on_known(const struct pg_answer *ans, int row, int rows, void *arg)
{
	(void)ans; /* it will be told with the next success */
	(void)row;
	(void)rows;
	(void)arg;
}

/* So that this user is let in from here, whatever others guess; the database
   has asked for it, at most once an hour */
static void tell_known(const struct auth *a)
{
	struct buf item;

	buf_init(&item, AUTH_ITEM_MAX);
	json_member_int(&item, "account", a->account);
	json_member(&item, "source", a->source);
	buf_char(&item, '}');
	(void)pgbatch_ask(uas_agent(a->u)->known, &item, on_known, NULL);
	buf_free(&item);
}

/**
 * The response is right
 *
 * @param a Its reference is taken over
 */
void verdict_right(struct auth *a)
{
	const struct agent *ag = uas_agent(a->u);

	if (!nonce_count(ag->nonces, &a->digest.nonce, a->digest.nc,
			 source_key(&uas_msg(a->u)->src.u.sa), a->account,
			 tmr_jiffies())) {
		a->stale = true;
		log_failed(a, "replay");
		challenge_ask(a);
		return;
	}

	if (!aor_same(a->email, a->id.aor)) {
		verdict_charge(a);
		uas_reply(a->u, 403, "From Is Not The User", NULL);
	} else {
		/* as it was signed up with */
		str_ncpy(a->id.aor, a->email, sizeof(a->id.aor));
		uas_set_proven(a->u);
		if (a->unknown)
			tell_known(a);
		if (!uas_is_answered(a->u)) /* an INVITE may be cancelled */
			a->h(a->u, &a->id);
	}
	mem_deref(a);
}
