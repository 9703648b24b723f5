/*
 * auth.h: who calls, as far as C can tell: the database has the last word.
 * Basic (RFC 7617) and Bearer (RFC 6750).
 */
#ifndef RESTSIP_AUTH_H
#define RESTSIP_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/source.h"
#include "shared/db.h"
#include "shared/hasher.h"
#include "shared/loop.h"
#include "shared/request.h"

enum {
	AUTH_TOKEN_MAX = 512,
	AUTH_KNOWN_MAX = 4096, /* callers whom the database has accepted */
};

struct auth;

enum auth_kind {
	AUTH_NONE,     /* credentials are not looked at */
	AUTH_OPTIONAL, /* used if given */
	AUTH_REQUIRED, /* 401 without */
	AUTH_BASIC,    /* 401 with anything but Basic */
};

/** The first two parameters of nearly every SQL function. */
struct principal {
	const char *who;      /* email of Basic, else null */
	const uint8_t *proof; /* null: nobody */
	size_t proof_len;
	uint8_t key[32];	  /* of the cache, Basic only */
	char source[SOURCE_SIZE]; /* the address that wrong guesses are counted
				     for */
	uint64_t caller;	  /* whose turn it is: see turn.h */
	bool remembered;	  /* the proof came from the cache */
	bool counted;		  /* as wrong, until it is found right */
	bool unknown; /* the database is to know of a success from here */
	int retry_s;  /* where AUTH_THROTTLED */
};

enum auth_result {
	AUTH_DONE,	  /* principal is filled in, perhaps with nobody */
	AUTH_DENIED,	  /* 401 `unauthorized` */
	AUTH_MALFORMED,	  /* 400: the Authorization header is none */
	AUTH_BUSY,	  /* 503 `busy`: too many passwords to be hashed */
	AUTH_THROTTLED,	  /* 429 `too-many-guesses` */
	AUTH_UNAVAILABLE, /* 503 `unavailable`: no database */
};

/** Called once, perhaps before auth_check() returns. */
typedef void(auth_h)(enum auth_result result, void *arg);

int auth_new(struct auth **out, struct loop *l, struct db *db,
	     struct hasher *hasher);
void auth_free(struct auth *auth);

/**
 * Find out who calls.
 *
 * @param p     filled in before done is called; with what it points at in a;
 *              both must live until then
 * @param gone  set once nobody waits for the answer: then nothing is hashed
 *              for it
 */
void auth_check(struct auth *auth, const struct request *req,
		enum auth_kind kind, struct arena *a, struct principal *p,
		const bool *gone, auth_h *done, void *arg);

/**
 * SQL accepted this principal: its password is remembered, and its requests get
 * a turn of their own instead of their address's.
 */
void auth_accepted(struct auth *auth, struct principal *p);

/**
 * SQL answered RS401: forget the password. If it came from the cache, the same
 * password may have been set anew under another salt, so auth_check() has to
 * check it once more.
 */
void auth_refused(struct auth *auth, const struct principal *p);

/** The first two parameters of a statement: p_who, p_proof. */
void auth_args(struct pg_args *args, const struct principal *p);

#endif
