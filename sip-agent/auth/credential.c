/*
 * A username that does not exist costs the same question, and the same hashes,
 * as a wrong password.
 */
#include "auth/credential.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/credcache.h"
#include "auth/step.h"
#include "auth/verdict.h"
#include "common/json_write.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"

static const struct pg_stmt stmt_credential = {
	.name = "digest_credential",
	.sql = "select * from api.digest_credential($1, $2, $3)",
	.nparams = 3,
};
static const struct pg_stmt stmt_credentials = {
	.name = "digest_credential_many",
	.sql = "select * from api.digest_credential_many($1, $2)",
	.nparams = 2,
};

/** Open what this file needs of an agent that has its database */
int credential_open(struct agent *ag)
{
	static const struct pgbatch_conf conf = {
		.stmt = &stmt_credentials,
		.line = PG_ASKED,
		.at_once = AUTH_QUESTIONS_AT_ONCE,
		.items = PGBATCH_MAX,
	};
	int err = credcache_alloc(&ag->credcache, CREDCACHE_MAX);

	if (!err)
		err = pgbatch_alloc(&ag->credentials, ag->pl, &conf);

	return err;
}

/* The user's hash, or one of the same form that nobody knows; @return whether
   it is the user's */
static bool take_ha1(struct auth *a, const struct pg_answer *ans, int row)
{
	const char *ha1 = pgres_text(ans->res, row, "ha1");
	const char *algorithm = pgres_text(ans->res, row, "algorithm");
	const char *email = pgres_text(ans->res, row, "email");
	const size_t len = a->digest.alg == DIGEST_MD5 ? 32 : 64;
	const bool known = ha1 && algorithm && email && strlen(ha1) == len &&
			   !strcmp(algorithm, digest_alg_name(a->digest.alg));

	if (known) {
		str_ncpy(a->id.ha1, ha1, sizeof(a->id.ha1));
		str_ncpy(a->email, email, sizeof(a->email));
	} else {
		rand_str(a->id.ha1, len + 1);
	}
	a->id.credential = pgres_int(ans->res, row, "credential");
	a->account = pgres_int(ans->res, row, "account");
	a->unknown = pgres_bool(ans->res, row, "remember");

	return known;
}

/* @return 0; EACCES where it is wrong; another errno where one cannot tell */
static int check_response(const struct auth *a, const char *ha1)
{
	char expected[DIGEST_HEX_SIZE];
	int err;

	err = digest_response(expected, sizeof(expected), &a->digest, ha1,
			      &uas_msg(a->u)->met);
	if (err)
		return ENOMEM; /* all that can be wrong with the library */

	return digest_equal(expected, &a->digest.response) ? 0 : EACCES;
}

/* --- what was right before ---------------------------------------------- */

static void cache_key(char *key, size_t size, const struct auth *a)
{
	if (re_snprintf(key, size, "%s|%s|%s", a->realm, a->source,
			a->digest.username) < 0)
		key[0] = '\0';
}

static void keep(const struct auth *a)
{
	struct credcache_entry entry = {
		.credential = a->id.credential,
		.account = a->account,
		.alg = a->digest.alg,
	};
	char key[CREDCACHE_KEY_SIZE];

	cache_key(key, sizeof(key), a);
	str_ncpy(entry.ha1, a->id.ha1, sizeof(entry.ha1));
	str_ncpy(entry.email, a->email, sizeof(entry.email));
	credcache_keep(uas_agent(a->u)->credcache, key, &entry, tmr_jiffies());
}

/* Only of REGISTER, which is what comes again and again.  What does not fit
   is forgotten, so that guesses are counted where they always are. */
static bool is_cached(struct auth *a)
{
	struct credcache *cache = uas_agent(a->u)->credcache;
	const struct credcache_entry *entry;
	char key[CREDCACHE_KEY_SIZE];

	cache_key(key, sizeof(key), a);
	entry = credcache_find(cache, key, tmr_jiffies());
	if (!entry)
		return false;

	if (pl_strcmp(&uas_msg(a->u)->met, "REGISTER") ||
	    entry->alg != a->digest.alg || check_response(a, entry->ha1)) {
		credcache_drop(cache, key);
		return false;
	}
	a->id.credential = entry->credential;
	a->account = entry->account;
	str_ncpy(a->id.ha1, entry->ha1, sizeof(a->id.ha1));
	str_ncpy(a->email, entry->email, sizeof(a->email));

	return true;
}

/** Let the next request ask the database: the credential is valid no more */
void credential_forget(const struct auth *a)
{
	char key[CREDCACHE_KEY_SIZE];

	cache_key(key, sizeof(key), a);
	credcache_drop(uas_agent(a->u)->credcache, key);
}

/* --- what the database says ---------------------------------------------- */

static void take_credential(struct auth *a, const struct pg_answer *ans,
			    int row)
{
	bool known;
	int err;

	if (ans->end != PG_OK) {
		if (ans->end == PG_REFUSED)
			verdict_charge(a); /* or asking would cost nothing */
		uas_db_failed(a->u, ans);
		mem_deref(a);
		return;
	}

	known = take_ha1(a, ans, row);
	err = check_response(a, a->id.ha1);
	if (err && err != EACCES) {
		step_fail(a, err);
		return;
	}
	if (err || !known) {
		verdict_wrong(a);
		return;
	}
	keep(a);
	verdict_right(a);
}

static void on_credential_alone(const struct pg_answer *ans, void *arg)
{
	take_credential(arg, ans, 0);
}

static void on_credential(const struct pg_answer *ans, int row, int rows,
			  void *arg)
{
	struct auth *a = arg;
	const struct pg_val valv[] = {pg_text(a->digest.username),
				      pg_text(a->realm), pg_text(a->source)};
	int err = 0;

	if (rows || ans->end != PG_OK)
		take_credential(a, ans, row);
	else
		err = pgloop_query(uas_agent(a->u)->pl, &stmt_credential, valv,
				   on_credential_alone, a);
	if (err)
		step_fail(a, err);
}

static void ask_credential(struct auth *a)
{
	struct buf item;
	int err;

	buf_init(&item, AUTH_ITEM_MAX);
	json_member(&item, "username", a->digest.username);
	json_member(&item, "realm", a->realm);
	json_member(&item, "source", a->source);
	buf_char(&item, '}');
	err = pgbatch_ask(uas_agent(a->u)->credentials, &item, on_credential,
			  a);
	buf_free(&item);
	if (err)
		step_fail(a, err);
}

/**
 * Check the response of a request whose nonce is good
 *
 * @param a Its reference is taken over
 */
void credential_check(struct auth *a)
{
	if (is_cached(a))
		verdict_right(a);
	else
		ask_credential(a);
}
