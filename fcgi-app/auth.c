/*
 * auth.c: from an Authorization header to p_who and p_proof.
 */
#include "auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aor.h"
#include "auth_cache.h"
#include "log.h"
#include "pgres.h"
#include "secret.h"

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
	auth_h *done;
	void *arg;
	char *password;
};

struct auth {
	struct db *db;
	struct hasher *hasher;
	struct auth_cache *cache;
	struct check *checks;
};

static const struct db_stmt password_setting = {
	.name = "password_setting",
	.sql = "select api.password_setting($1, $2) as setting",
	.nparams = 2,
};

static const struct db_stmt password_failed = {
	.name = "password_failed",
	.sql = "select api.password_failed($1, $2)",
	.nparams = 2,
	.write = true,
};

/* A wrong guess on its way to where it is counted. */
struct guess {
	auth_counted_h *done;
	void *arg;
	char email[AOR_BUF];
	char source[AUTH_SOURCE_SIZE];
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

static void hash_done(const char *hash, void *arg)
{
	struct check *c = arg;

	check_end(c, hash ? AUTH_DONE : AUTH_DENIED, hash);
}

static void setting_answered(const struct db_answer *answer, void *arg)
{
	struct check *c = arg;
	const char *setting;
	int err;

	if (answer->outcome != DB_OK) {
		check_end(c,
			  answer->status == 429 ? AUTH_THROTTLED
						: AUTH_UNAVAILABLE,
			  NULL);
		return;
	}
	setting = pgres_text(answer->res, 0, "setting");
	err = setting ? hasher_ask(c->auth->hasher, c->password, setting,
				   hash_done, c)
		      : EINVAL;
	if (err == EBUSY)
		check_end(c, AUTH_BUSY, NULL);
	else if (err)
		check_end(c, AUTH_DENIED, NULL);
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

/* Ask for the setting, hash, tell. @return AUTH_DONE: it is under way */
static enum auth_result check_start(struct check *c)
{
	struct auth *auth = c->auth;
	struct db_args args = {.n = 0};

	if (check_follow(c))
		return AUTH_DONE;
	db_arg_text(&args, c->principal->who);
	db_arg_text(&args, c->principal->source);
	if (!db_ask(auth->db, &password_setting, &args, setting_answered, c))
		return AUTH_UNAVAILABLE;
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
	if (auth_cache_key(auth->cache, p->key, p->who, c->password))
		return false;
	hash = auth_cache_get(auth->cache, p->key);
	if (!hash) {
		*result = check_start(c);
		return *result == AUTH_DONE;
	}
	secret_wipe(c->password, strlen(c->password));
	if (take_hash(p, c->arena, hash)) {
		p->remembered = true;
		*result = AUTH_DONE;
	}
	return false;
}

static struct check *check_new(struct auth *auth, struct arena *a,
			       struct principal *p, auth_h *done, void *arg)
{
	struct check *c = arena_alloc(a, sizeof(*c));

	if (c)
		*c = (struct check){.auth = auth,
				    .arena = a,
				    .principal = p,
				    .done = done,
				    .arg = arg};
	return c;
}

void auth_check(struct auth *auth, const struct request *req,
		enum auth_kind kind, struct arena *a, struct principal *p,
		auth_h *done, void *arg)
{
	const char *header = kind == AUTH_NONE
				     ? NULL
				     : request_header(req, "Authorization");
	bool needed = kind == AUTH_REQUIRED || kind == AUTH_BASIC;
	enum auth_result result = AUTH_DENIED;
	const char *text;

	memset(p, 0, sizeof(*p));
	(void)snprintf(p->source, sizeof(p->source), "%s", req->remote);
	if (!header || !*header)
		result = needed ? AUTH_DENIED : AUTH_DONE;
	else if ((text = after_scheme(header, "Basic"))) {
		struct check *c = check_new(auth, a, p, done, arg);

		result = AUTH_UNAVAILABLE;
		if (c && take_basic(c, text, &result))
			return;
	} else if (kind != AUTH_BASIC &&
		   (text = after_scheme(header, "Bearer")))
		result = take_bearer(p, a, text);
	done(result, arg);
}

void auth_accepted(struct auth *auth, const struct principal *p)
{
	char hash[HASHER_HASH_MAX];

	if (!p->who || !p->proof || p->proof_len >= sizeof(hash))
		return;
	memcpy(hash, p->proof, p->proof_len);
	hash[p->proof_len] = '\0';
	auth_cache_put(auth->cache, p->key, hash);
}

static void guess_counted(const struct db_answer *answer, void *arg)
{
	struct guess *g = arg;

	(void)answer; /* a guess that is not counted does no harm */
	g->done(g->arg);
	free(g);
}

bool auth_refused(struct auth *auth, const struct principal *p,
		  auth_counted_h *done, void *arg)
{
	struct db_args args = {.n = 0};
	struct guess *g;

	if (!p->who)
		return false;
	auth_cache_remove(auth->cache, p->key);
	g = calloc(1, sizeof(*g));
	if (!g)
		return false;
	g->done = done;
	g->arg = arg;
	(void)snprintf(g->email, sizeof(g->email), "%s", p->who);
	memcpy(g->source, p->source, sizeof(g->source));
	db_arg_text(&args, g->email);
	db_arg_text(&args, g->source);
	if (db_ask(auth->db, &password_failed, &args, guess_counted, g))
		return true;
	free(g);
	return false;
}

void auth_forget(struct auth *auth, const struct principal *p)
{
	auth_cache_remove(auth->cache, p->key);
}

void auth_args(struct db_args *args, const struct principal *p)
{
	db_arg_text(args, p->who);
	db_arg_bytea(args, p->proof, p->proof_len);
}
