/*
 * A username that does not exist costs the same question, and gets the same
 * answer, as one that does.
 */
#include "auth/challenge.h"

#include "agent.h"
#include "auth/step.h"
#include "common/json_write.h"
#include "gate/nonce.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"

static const struct pg_stmt stmt_algorithm = {
	.name = "digest_algorithm",
	.sql = "select api.digest_algorithm($1) as algorithm",
	.nparams = 1,
};
static const struct pg_stmt stmt_algorithms = {
	.name = "digest_algorithm_many",
	.sql = "select * from api.digest_algorithm_many($1, $2)",
	.nparams = 2,
};

/** Open what this file needs of an agent that has its database */
int challenge_open(struct agent *ag)
{
	static const struct pgbatch_conf conf = {
		.stmt = &stmt_algorithms,
		.line = PG_ASKED,
		.at_once = AUTH_QUESTIONS_AT_ONCE,
		.items = PGBATCH_MAX,
	};

	return pgbatch_alloc(&ag->algorithms, ag->pl, &conf);
}

static void answer(struct auth *a, enum digest_alg alg)
{
	const struct agent *ag = uas_agent(a->u);
	char nonce[NONCE_SIZE];

	if (nonce_make(ag->nonces, nonce, sizeof(nonce), alg,
		       source_key(&uas_msg(a->u)->src.u.sa), tmr_jiffies())) {
		uas_refuse(a->u, 503); /* no memory, or no random bytes */
		return;
	}

	uas_reply(a->u, 401, NULL,
		  "WWW-Authenticate: Digest realm=\"%s\", nonce=\"%s\", "
		  "algorithm=%s, qop=\"auth\"%s\r\n",
		  a->realm, nonce, digest_alg_name(alg),
		  a->stale ? ", stale=true" : "");
}

static void take_algorithm(struct auth *a, const struct pg_answer *ans, int row)
{
	enum digest_alg alg = DIGEST_MD5;
	struct pl name;

	if (ans->end == PG_OK && pgres_text(ans->res, row, "algorithm")) {
		pl_set_str(&name, pgres_text(ans->res, row, "algorithm"));
		(void)digest_alg_decode(&alg, &name);
		answer(a, alg);
	} else {
		uas_db_failed(a->u, ans);
	}
	mem_deref(a);
}

static void on_algorithm_alone(const struct pg_answer *ans, void *arg)
{
	take_algorithm(arg, ans, 0);
}

static void on_algorithm(const struct pg_answer *ans, int row, int rows,
			 void *arg)
{
	struct auth *a = arg;
	const struct pg_val valv[] = {pg_text(a->id.aor)};
	int err = 0;

	if (rows || ans->end != PG_OK)
		take_algorithm(a, ans, row);
	else
		err = pgloop_query(uas_agent(a->u)->pl, &stmt_algorithm, valv,
				   on_algorithm_alone, a);
	if (err)
		step_fail(a, err);
}

/**
 * Answer with a challenge
 *
 * @param a Its reference is taken over
 */
void challenge_ask(struct auth *a)
{
	struct buf item;
	int err;

	buf_init(&item, AUTH_ITEM_MAX);
	json_member(&item, "email", a->id.aor);
	buf_char(&item, '}');
	err = pgbatch_ask(uas_agent(a->u)->algorithms, &item, on_algorithm, a);
	buf_free(&item);
	if (err)
		step_fail(a, err);
}
