/*
 * The steps of digest authentication on the server's side.
 *
 * No credentials, a nonce that is stale, or a wrong response: a challenge, for
 * which the database is asked which algorithm to offer.  A username that does
 * not exist costs the same questions, the same hashes, and gets the same
 * answer as a wrong password.
 */
#include "auth/auth.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/credcache.h"
#include "common/json_write.h"
#include "common/source.h"
#include "gate/budget.h"
#include "gate/nonce.h"
#include "logre.h"
#include "parse/hdr.h"
#include "parse/nameaddr.h"
#include "parse/sanity_field.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"
#include "settings.h"
#include "transaction/uas.h"

enum {
	ITEM_MAX = 16384,
	QUESTIONS_AT_ONCE = 1, /* statements of a kind */
};

struct auth {
	struct uas *u;
	struct digest_auth digest; /* borrows from the request */
	struct auth_id id;
	const char *realm; /* within id */
	char source[SOURCE_SIZE];
	char email[AOR_BUF]; /* of the account that the credential is of */
	int64_t account;     /* the same */
	bool stale;
	bool unknown; /* the database is to know of a success from here */
	auth_h *h;
};

static const struct pg_stmt stmt_algorithm = {
	.name = "digest_algorithm",
	.sql = "select api.digest_algorithm($1) as algorithm",
	.nparams = 1,
};
static const struct pg_stmt stmt_credential = {
	.name = "digest_credential",
	.sql = "select * from api.digest_credential($1, $2, $3)",
	.nparams = 3,
};
static const struct pg_stmt stmt_failed = {
	.name = "digest_failed",
	.sql = "select api.digest_failed($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

static const struct pg_stmt stmt_algorithms = {
	.name = "digest_algorithm_many",
	.sql = "select * from api.digest_algorithm_many($1, $2)",
	.nparams = 2,
};
static const struct pg_stmt stmt_known = {
	.name = "digest_known",
	.sql = "select * from api.digest_known($1, $2)",
	.nparams = 2,
};
static const struct pg_stmt stmt_credentials = {
	.name = "digest_credential_many",
	.sql = "select * from api.digest_credential_many($1, $2)",
	.nparams = 2,
};

/**
 * Open what this file needs of an agent that has its database
 */
int auth_open(struct agent *ag)
{
	int err;

	err = credcache_alloc(&ag->credcache, CREDCACHE_MAX);
	if (!err)
		err = pgbatch_alloc(&ag->algorithms, ag->pl, &stmt_algorithms,
				    QUESTIONS_AT_ONCE);
	if (!err)
		err = pgbatch_alloc(&ag->credentials, ag->pl, &stmt_credentials,
				    QUESTIONS_AT_ONCE);
	if (!err)
		err = pgbatch_alloc(&ag->known, ag->pl, &stmt_known,
				    QUESTIONS_AT_ONCE);

	return err;
}

static void auth_destructor(void *arg)
{
	struct auth *a = arg;

	mem_deref(a->u);
}

static void db_away(struct auth *a, int err)
{
	uas_fail(a->u, err);
	mem_deref(a);
}

/* --- the challenge ------------------------------------------------------ */

static void challenge(struct auth *a, enum digest_alg alg)
{
	const struct agent *ag = uas_agent(a->u);
	char nonce[NONCE_SIZE];

	if (nonce_make(ag->nonces, nonce, sizeof(nonce), alg,
		       source_key(&uas_msg(a->u)->src.u.sa), tmr_jiffies())) {
		uas_refuse(a->u, 500);
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
		challenge(a, alg);
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
		db_away(a, err);
}

/* Takes over the reference */
static void ask_algorithm(struct auth *a)
{
	struct buf item;
	int err;

	buf_init(&item, ITEM_MAX);
	json_member(&item, "email", a->id.aor);
	buf_char(&item, '}');
	err = pgbatch_ask(uas_agent(a->u)->algorithms, &item, on_algorithm, a);
	buf_free(&item);
	if (err)
		db_away(a, err);
}

/* A wrong guess is counted before it is answered */
static void on_failed(const struct pg_answer *ans, void *arg)
{
	struct auth *a = arg;

	if (ans->end != PG_OK) {
		uas_db_failed(a->u, ans);
		mem_deref(a);
		return;
	}
	ask_algorithm(a);
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

/* It had a nonce of ours, so that it is where it says */
static void charge_wrong(const struct auth *a)
{
	budget_bad(uas_agent(a->u)->budget, BUDGET_SHOWN, &uas_msg(a->u)->src,
		   tmr_jiffies());
}

/* Takes over the reference */
static void guessed_wrong(struct auth *a)
{
	const struct pg_val valv[] = {pg_text(a->digest.username),
				      pg_text(a->realm), pg_text(a->source)};
	const struct agent *ag = uas_agent(a->u);
	int err;

	charge_wrong(a);
	log_failed(a, "response");
	err = pgloop_query(ag->pl, &stmt_failed, valv, on_failed, a);
	if (err)
		db_away(a, err);
}

/* --- the response ------------------------------------------------------- */

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

static bool is_right(const struct auth *a, const char *ha1)
{
	char expected[DIGEST_HEX_SIZE];

	return !digest_response(expected, sizeof(expected), &a->digest, ha1,
				&uas_msg(a->u)->met) &&
	       digest_equal(expected, &a->digest.response);
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

	buf_init(&item, ITEM_MAX);
	json_member_int(&item, "account", a->account);
	json_member(&item, "source", a->source);
	buf_char(&item, '}');
	(void)pgbatch_ask(uas_agent(a->u)->known, &item, on_known, NULL);
	buf_free(&item);
}

/* What was right is served, if this count is new and From is the user; takes
   over the reference */
static void serve(struct auth *a)
{
	const struct agent *ag = uas_agent(a->u);

	if (!nonce_count(ag->nonces, &a->digest.nonce, a->digest.nc,
			 source_key(&uas_msg(a->u)->src.u.sa), a->account,
			 tmr_jiffies())) {
		a->stale = true;
		log_failed(a, "replay");
		ask_algorithm(a);
		return;
	}

	if (strcmp(a->email, a->id.aor)) {
		charge_wrong(a);
		uas_reply(a->u, 403, "From Is Not The User", NULL);
	} else {
		uas_set_proven(a->u);
		if (a->unknown)
			tell_known(a);
		a->h(a->u, &a->id);
	}
	mem_deref(a);
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
	    entry->alg != a->digest.alg || !is_right(a, entry->ha1)) {
		credcache_drop(cache, key);
		return false;
	}
	a->id.credential = entry->credential;
	a->account = entry->account;
	str_ncpy(a->id.ha1, entry->ha1, sizeof(a->id.ha1));
	str_ncpy(a->email, entry->email, sizeof(a->email));

	return true;
}

/* --- the credential ----------------------------------------------------- */

static void take_credential(struct auth *a, const struct pg_answer *ans,
			    int row)
{
	bool known;

	if (ans->end != PG_OK) {
		if (ans->end == PG_REFUSED)
			charge_wrong(a); /* or asking would cost nothing */
		uas_db_failed(a->u, ans);
		mem_deref(a);
		return;
	}

	known = take_ha1(a, ans, row);
	if (!is_right(a, a->id.ha1) || !known) {
		guessed_wrong(a);
		return;
	}
	keep(a);
	serve(a);
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
		db_away(a, err);
}

/* Takes over the reference */
static void ask_credential(struct auth *a)
{
	struct buf item;
	int err;

	buf_init(&item, ITEM_MAX);
	json_member(&item, "username", a->digest.username);
	json_member(&item, "realm", a->realm);
	json_member(&item, "source", a->source);
	buf_char(&item, '}');
	err = pgbatch_ask(uas_agent(a->u)->credentials, &item, on_credential,
			  a);
	buf_free(&item);
	if (err)
		db_away(a, err);
}

/* --- what came ---------------------------------------------------------- */

struct search {
	struct digest_auth *digest;
	const char *realm;
	bool found;
};

/* There may be several Authorization headers, for several realms */
static bool realm_handler(const struct pl *val, void *arg)
{
	struct search *s = arg;

	if (digest_parse(s->digest, val) ||
	    pl_strcmp(&s->digest->realm, s->realm))
		return false;
	s->found = true;

	return true;
}

/* The digest's uri must be the request's; that of the server itself is what
   some clients put there (RFC 7616 section 3.4.6) */
static bool is_our_uri(const struct auth *a)
{
	const struct sip_msg *msg = uas_msg(a->u);
	struct uri uri;

	if (!pl_casecmp(&a->digest.uri, &msg->ruri))
		return true;

	return !uri_decode(&uri, &a->digest.uri) && !pl_isset(&uri.user) &&
	       settings_is_ours(uas_agent(a->u)->set, &uri);
}

static bool has_good_nonce(struct auth *a)
{
	const struct agent *ag = uas_agent(a->u);
	enum digest_alg alg;

	switch (nonce_check(ag->nonces, &a->digest.nonce,
			    source_key(&uas_msg(a->u)->src.u.sa), &alg,
			    tmr_jiffies())) {
	case NONCE_GOOD:
		return alg == a->digest.alg;

	case NONCE_STALE:
		a->stale = true;
		return false;

	default:
		return false;
	}
}

/* Credentials for a nonce that is no more: a phone does that once, and then has
   a new one.  For one that no agent has made: an attack */
static void charge_nonce(const struct auth *a)
{
	const struct agent *ag = uas_agent(a->u);
	const struct sa *src = &uas_msg(a->u)->src;
	const enum budget_proof proof = budget_proof_of(uas_msg(a->u));

	if (!hdr_get(uas_msg(a->u), HDR_AUTHORIZATION))
		return;
	if (!a->stale ||
	    !budget_unproven(ag->budget, proof, src, tmr_jiffies()))
		budget_bad(ag->budget, proof, src, tmr_jiffies());
}

static int from_aor(struct auth *a)
{
	const struct sip_msg *msg = uas_msg(a->u);
	struct nameaddr na;
	struct pl realm;
	int err;

	err = nameaddr_decode(&na, hdr_get(msg, HDR_FROM));
	if (err)
		return err;

	/* a SIP URI may be sound, and yet name nobody who can have an account
	 */
	err = uri_to_aor(a->id.aor, &na.uri);
	if (err)
		return sanity_field_is_sip(&na.uri) ? EDOM : err;

	a->realm = aor_domain(a->id.aor);
	pl_set_str(&realm, a->realm);

	return settings_hosts(uas_agent(a->u)->set, &realm) ? 0 : ENOENT;
}

static int auth_alloc(struct auth **ap, struct uas *u)
{
	struct auth *a = mem_zalloc(sizeof(*a), auth_destructor);

	if (!a)
		return ENOMEM;
	a->u = mem_ref(u);
	*ap = a;

	return 0;
}

static void identify(struct uas *u, auth_h *h)
{
	struct search s;
	struct auth *a;

	if (auth_alloc(&a, u)) {
		uas_refuse(u, 503);
		return;
	}

	a->h = h;
	switch (from_aor(a)) {
	case 0:
		break;

	case ENOENT:
		uas_reply(u, 403, "Not Our Domain", NULL);
		mem_deref(a);
		return;

	case EDOM:
		uas_reply(u, 403, "Not A User Here", NULL);
		mem_deref(a);
		return;

	default:
		uas_reply(u, 400, "Bad From", NULL);
		mem_deref(a);
		return;
	}

	s = (struct search){.digest = &a->digest, .realm = a->realm};
	(void)hdr_each(uas_msg(u), HDR_AUTHORIZATION, realm_handler, &s);
	if (s.found && is_our_uri(a) && has_good_nonce(a)) {
		source_text(a->source, &uas_msg(a->u)->src.u.sa);
		if (is_cached(a))
			serve(a);
		else
			ask_credential(a);
	} else {
		charge_nonce(a);
		ask_algorithm(a);
	}
}

/**
 * Find out who sent a request
 *
 * @param msg A request that dispatch has let through; answered here unless h
 *            is called
 * @param h   Called with the sender where the request is authentic
 */
void auth_request(struct agent *ag, const struct sip_msg *msg, auth_h *h)
{
	struct uas *u;

	if (!pgloop_is_ready(ag->pl) || uas_alloc(&u, ag, msg)) {
		uas_busy_stateless(ag, msg);
		return;
	}

	identify(u, h);
	mem_deref(u);
}

/* The credential of a request is valid no more */
static void forget(struct auth *a)
{
	struct search s = {.digest = &a->digest, .realm = a->realm};
	char key[CREDCACHE_KEY_SIZE];

	(void)hdr_each(uas_msg(a->u), HDR_AUTHORIZATION, realm_handler, &s);
	if (!s.found)
		return;
	source_text(a->source, &uas_msg(a->u)->src.u.sa);
	cache_key(key, sizeof(key), a);
	credcache_drop(uas_agent(a->u)->credcache, key);
}

/**
 * Answer that the database refused what an authentic request asked for; a
 * credential that is valid no more is challenged again
 *
 * @param aor Who the request is from
 */
void auth_db_failed(struct uas *u, const char *aor, const struct pg_answer *ans)
{
	struct auth *a;

	if (ans->end != PG_REFUSED || ans->status != 401 || auth_alloc(&a, u)) {
		uas_db_failed(u, ans);
		return;
	}

	str_ncpy(a->id.aor, aor, sizeof(a->id.aor));
	a->realm = aor_domain(a->id.aor);
	forget(a);
	ask_algorithm(a);
}
