/*
 * auth.c: from an Authorization header to p_who and p_proof.
 */
#include "shared/auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/aor.h"
#include "common/log.h"
#include "common/pgres.h"
#include "common/secret.h"
#include "common/source.h"
#include "common/turn.h"
#include "shared/auth_cache.h"

enum {
	BASIC_MAX = AOR_MAX + 1 + HASHER_PASSWORD_MAX,
};

/* One password that is being hashed, for all who gave it meanwhile. */
struct check {
	struct auth *auth;
	struct check *next;	/* of another password */
	struct check *follower; /* with the same */
	struct arena *arena;
	struct principal *principal;
	const bool *gone;
	auth_h *done;
	void *arg;
	char *password;
	const char *setting;
	bool known; /* the account has signed in from there lately */
};

struct auth {
	struct db *db;
	struct hasher *hasher;
	struct auth_cache *cache;
	struct check *checks;
	uint64_t known[AUTH_KNOWN_MAX];
};

static const struct pg_stmt password_look = {
	.name = "password_look",
	.sql = "select * from api.password_look($1, $2)",
	.nparams = 2,
};

static const struct pg_stmt password_try = {
	.name = "password_try",
	.sql = "select api.password_try($1, $2)",
	.nparams = 2,
	.write = true,
};

static const struct pg_stmt password_settled = {
	.name = "password_settled",
	.sql = "select api.password_settled($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};

/* What is to be told of a password, after its request may have ended. */
struct settled {
	char email[AOR_BUF];
	char source[SOURCE_SIZE];
};

int auth_new(struct auth **out, struct loop *l, struct db *db,
	     struct hasher *hasher)
{
	struct auth *auth = calloc(1, sizeof(*auth));

	(void)l; /* nothing of it is timed yet */
	if (!auth)
		return ENOMEM;
	auth->db = db;
	auth->hasher = hasher;
	auth->cache = auth_cache_new();
	if (!auth->cache) {
		free(auth);
		return ENOMEM;
	}
	*out = auth;
	return 0;
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	auth_cache_free(auth->cache);
	free(auth);
}

/* What stands behind the scheme, or null if it is another one. */
static const char *after_scheme(const char *header, const char *scheme)
{
	size_t n = strlen(scheme);

	if (strncasecmp(header, scheme, n) || header[n] != ' ')
		return NULL;
	return header + n + strspn(header + n, " ");
}

static uint64_t caller_of(const struct principal *p)
{
	return p->who ? turn_key_of('e', p->who, strlen(p->who))
		      : turn_key_of('t', p->proof, p->proof_len);
}

/* In whose turn it is: his own once he was who he said, till then in that of
 * his address. An unlimited number of wrong tokens has one turn. */
static void name_caller(const struct auth *auth, struct principal *p)
{
	const uint64_t caller = caller_of(p);

	if (auth->known[caller % AUTH_KNOWN_MAX] == caller)
		p->caller = caller;
}

static enum auth_result take_bearer(struct principal *p, struct arena *a,
				    const char *token)
{
	size_t n = strcspn(token, " \t");
	uint8_t *proof;

	if (n == 0 || n > AUTH_TOKEN_MAX || token[n])
		return AUTH_MALFORMED;
	proof = arena_alloc(a, SHA256_SIZE);
	if (!proof || sha256(proof, token, n))
		return AUTH_UNAVAILABLE;
	p->proof = proof;
	p->proof_len = SHA256_SIZE;
	return AUTH_DONE;
}

static bool take_hash(struct principal *p, struct arena *a, const char *hash)
{
	size_t n = strlen(hash);

	p->proof = (const uint8_t *)arena_mem(a, hash, n);
	p->proof_len = n;
	return p->proof != NULL;
}

/* The last step of a check: tell everybody who gave that password. */
static void check_end(struct check *c, enum auth_result result,
		      const char *hash)
{
	struct check **at = &c->auth->checks, *next;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	for (; c; c = next) {
		enum auth_result its = result;

		next = c->follower; /* it lives in the arena that may go */
		secret_wipe(c->password, strlen(c->password));
		if (hash && !take_hash(c->principal, c->arena, hash))
			its = AUTH_UNAVAILABLE;
		c->done(its, c->arg);
	}
}

static void settled_answered(const struct pg_answer *answer, void *arg)
{
	(void)answer; /* a try that stays counted is forgotten soon */
	free(arg);
}

/* It was right, or not looked at: it is no wrong one. */
static void tell_settled(struct auth *auth, struct principal *p, bool right)
{
	struct db_whose whose = {.caller = 0};
	struct pg_args args = {.n = 0};
	struct settled *s = calloc(1, sizeof(*s));

	if (!s)
		return;
	(void)snprintf(s->email, sizeof(s->email), "%s", p->who);
	memcpy(s->source, p->source, sizeof(s->source));
	pg_arg_text(&args, s->email);
	pg_arg_text(&args, s->source);
	pg_arg_bool(&args, p->counted);
	pg_arg_bool(&args, right);
	p->counted = p->unknown = false;
	whose.caller = turn_key_of_source(s->source);
	if (!db_ask_as(auth->db, &whose, &password_settled, &args,
		       settled_answered, s))
		free(s);
}

/* It was not looked at. */
static void check_busy(struct check *c)
{
	if (c->principal->counted)
		tell_settled(c->auth, c->principal, false);
	check_end(c, AUTH_BUSY, NULL);
}

static void hash_done(int err, const char *hash, void *arg)
{
	struct check *c = arg;

	if (err == EBUSY || err == ECANCELED || err == ENOMEM)
		check_busy(c);
	else
		check_end(c, err ? AUTH_DENIED : AUTH_DONE, hash);
}

static bool is_wanted(const void *arg)
{
	const struct check *c = arg;

	while (c && c->gone && *c->gone)
		c = c->follower;
	return c != NULL;
}

static void hash_start(struct check *c)
{
	const int err = hasher_ask(c->auth->hasher,
				   &(struct hasher_job){
					   .password = c->password,
					   .setting = c->setting,
					   .source = c->principal->source,
					   .known = c->known,
					   .wanted = is_wanted,
					   .done = hash_done,
					   .arg = c,
				   });

	if (err == EBUSY || err == ENOMEM)
		check_busy(c);
	else if (err)
		check_end(c, AUTH_DENIED, NULL);
}

static void check_throttled(struct check *c, int retry_s)
{
	for (struct check *each = c; each; each = each->follower)
		each->principal->retry_s = retry_s;
	check_end(c, AUTH_THROTTLED, NULL);
}

static enum auth_result not_asked(const struct pg_answer *answer)
{
	return answer->err == APP_BUSY ? AUTH_BUSY : AUTH_UNAVAILABLE;
}

static void try_answered(const struct pg_answer *answer, void *arg)
{
	struct check *c = arg;

	if (answer->end == PG_OK) {
		c->principal->counted = true;
		hash_start(c);
	} else if (answer->status == 429)
		check_throttled(c, answer->retry_s);
	else
		check_end(c, not_asked(answer), NULL);
}

/* Email and source, which are those of the first who gave the password. */
static bool ask_of_password(struct check *c, const struct pg_stmt *st,
			    pg_answer_h *answered)
{
	const char *who = c->principal->who;
	const struct db_whose whose = {
		.caller = turn_key_of_source(c->principal->source),
		.target = turn_key_of('u', who, strlen(who)),
	};
	struct pg_args args = {.n = 0};

	pg_arg_text(&args, who);
	pg_arg_text(&args, c->principal->source);
	return db_ask_as(c->auth->db, &whose, st, &args, answered, c) != NULL;
}

static void look_answered(const struct pg_answer *answer, void *arg)
{
	struct check *c = arg;
	const char *setting;
	int wait_s;

	if (answer->end != PG_OK) {
		check_end(c, not_asked(answer), NULL);
		return;
	}
	setting = pgres_text(answer->res, 0, "setting");
	c->setting = setting ? arena_str(c->arena, setting) : NULL;
	c->principal->unknown = pgres_bool(answer->res, 0, "remember");
	c->known = pgres_bool(answer->res, 0, "known");
	wait_s = (int)pgres_int(answer->res, 0, "wait_s");
	if (!c->setting)
		check_end(c, AUTH_UNAVAILABLE, NULL);
	else if (wait_s > 0)
		check_throttled(c, wait_s);
	else if (c->known)
		hash_start(c);
	else if (!ask_of_password(c, &password_try, try_answered))
		check_end(c, AUTH_UNAVAILABLE, NULL);
}

static bool check_follow(struct check *c)
{
	struct check *first = c->auth->checks;

	while (first &&
	       !secret_equal(first->principal->key, c->principal->key, 32))
		first = first->next;
	if (!first)
		return false;
	c->follower = first->follower;
	first->follower = c;
	return true;
}

/* Look, count a try where nobody is known, hash, tell. @return AUTH_DONE: it
 * is under way */
static enum auth_result check_start(struct check *c)
{
	struct auth *auth = c->auth;

	if (check_follow(c))
		return AUTH_DONE;
	if (!ask_of_password(c, &password_look, look_answered))
		return AUTH_BUSY;
	c->next = auth->checks;
	auth->checks = c;
	return AUTH_DONE;
}

/* Email and password out of the header (RFC 7617, 2). */
static enum auth_result parse_basic(struct check *c, const char *text)
{
	uint8_t raw[BASIC_MAX];
	char email[AOR_BUF];
	enum auth_result result = AUTH_DENIED;
	const char *colon;
	size_t n, at;

	if (secret_base64_decode(raw, sizeof(raw), &n, text, strlen(text)))
		return AUTH_MALFORMED;
	colon = memchr(raw, ':', n);
	if (!colon || memchr(raw, '\0', n)) {
		result = AUTH_MALFORMED;
		goto out;
	}
	at = (size_t)(colon - (const char *)raw);
	/* What is no email is nobody's. */
	if (n - at - 1 >= HASHER_PASSWORD_MAX ||
	    aor_parse(email, (const char *)raw, at))
		goto out;
	aor_fold(email); /* one caller, one turn, one count of guesses */
	c->principal->who = arena_str(c->arena, email);
	c->password = arena_mem(c->arena, colon + 1, n - at - 1);
	result = c->principal->who && c->password ? AUTH_DONE
						  : AUTH_UNAVAILABLE;
out:
	secret_wipe(raw, sizeof(raw));
	return result;
}

/* @return whether done was or will be called; if not, *result is to be told */
static bool take_basic(struct check *c, const char *text,
		       enum auth_result *result)
{
	struct auth *auth = c->auth;
	struct principal *p = c->principal;
	const char *hash;

	*result = parse_basic(c, text);
	if (*result != AUTH_DONE)
		return false;
	*result = AUTH_UNAVAILABLE;
	if (auth_cache_key(auth->cache, p->key, p->who, p->source, c->password))
		return false;
	hash = auth_cache_get(auth->cache, p->key);
	if (!hash) {
		*result = check_start(c);
		return *result == AUTH_DONE;
	}
	secret_wipe(c->password, strlen(c->password));
	if (take_hash(p, c->arena, hash)) {
		name_caller(auth, p);
		p->remembered = true;
		*result = AUTH_DONE;
	}
	return false;
}

static struct check *check_new(struct auth *auth, struct arena *a,
			       struct principal *p, const bool *gone,
			       auth_h *done, void *arg)
{
	struct check *c = arena_alloc(a, sizeof(*c));

	if (c)
		*c = (struct check){.auth = auth,
				    .arena = a,
				    .principal = p,
				    .gone = gone,
				    .done = done,
				    .arg = arg};
	return c;
}

void auth_check(struct auth *auth, const struct request *req,
		enum auth_kind kind, struct arena *a, struct principal *p,
		const bool *gone, auth_h *done, void *arg)
{
	const char *header = kind == AUTH_NONE
				     ? NULL
				     : request_header(req, "Authorization");
	bool needed = kind == AUTH_REQUIRED || kind == AUTH_BASIC;
	enum auth_result result = AUTH_DENIED;
	const char *text;

	memset(p, 0, sizeof(*p));
	source_of_text(p->source, req->remote);
	p->caller = turn_key_of_source(p->source);
	if (!header || !*header)
		result = needed ? AUTH_DENIED : AUTH_DONE;
	else if ((text = after_scheme(header, "Basic"))) {
		struct check *c = check_new(auth, a, p, gone, done, arg);

		result = AUTH_UNAVAILABLE;
		if (c && take_basic(c, text, &result))
			return;
	} else if (kind != AUTH_BASIC &&
		   (text = after_scheme(header, "Bearer"))) {
		result = take_bearer(p, a, text);
		if (result == AUTH_DONE)
			name_caller(auth, p);
	}
	done(result, arg);
}

void auth_accepted(struct auth *auth, struct principal *p)
{
	char hash[HASHER_HASH_MAX];

	if (p->proof)
		auth->known[caller_of(p) % AUTH_KNOWN_MAX] = caller_of(p);
	if (!p->who || !p->proof || p->proof_len >= sizeof(hash))
		return;
	memcpy(hash, p->proof, p->proof_len);
	hash[p->proof_len] = '\0';
	auth_cache_put(auth->cache, p->key, hash);
	if (p->counted || p->unknown)
		tell_settled(auth, p, true);
}

void auth_refused(struct auth *auth, const struct principal *p)
{
	if (p->who)
		auth_cache_remove(auth->cache, p->key);
}

void auth_args(struct pg_args *args, const struct principal *p)
{
	pg_arg_text(args, p->who);
	pg_arg_bytea(args, p->proof, p->proof_len);
}
