/*
 * exchange.h: one request, from arrival to answer. It reads as a sentence:
 *
 *   route → who calls → body → the handler parses → one SQL call → the
 *   handler renders → answered
 *
 * A handler is called when caller and body are known. It ends with exactly
 * one of exchange_query() (then on_result goes on), exchange_hash(),
 * exchange_answer(), exchange_problem(). Where it forgets to, it is 500; a
 * second end is ignored and logged. Whoever wants a stream is elsewhere.
 */
#ifndef RESTSIP_EXCHANGE_H
#define RESTSIP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/error.h"
#include "shared/app.h"
#include "shared/auth.h"
#include "shared/db.h"
#include "shared/fcgi.h"
#include "shared/problem.h"
#include "shared/request.h"
#include "shared/response.h"
#include "shared/router.h"
#include "worker/large.h"

enum {
	EXCHANGE_BUSY_MAX = 4096, /* at once; more get 503 */
	IDEMPOTENCY_KEY_MAX = 255,
};

struct exchange;

/** A handler (resources/handlers.h), or what goes on as one. */
typedef void(route_h)(struct exchange *x);
/** Rows have come. res is borrowed during the call; end as a handler does. */
typedef void(exchange_result_h)(struct exchange *x,
				const struct pg_result *res);
/** A password's hash, borrowed during the call; end as a handler does. */
typedef void(exchange_hash_h)(struct exchange *x, const char *hash);

enum exchange_phase {
	EXCHANGE_RUNS,	      /* its holder ends it, or lets it wait */
	EXCHANGE_WAITS,	      /* for who calls, rows, a hash, memory */
	EXCHANGE_ANSWERED,    /* with res */
	EXCHANGE_HANDED_OVER, /* restsip-stream answers */
};

/** What a handler may look at, and res and state to write. */
struct exchange {
	struct app *app;
	struct arena *arena; /* lives as long as the exchange */
	struct request req;
	struct response res; /* what will be answered */
	const struct route *route;
	struct path_args path;
	struct buf body; /* with a NUL behind it; p null if empty */
	struct principal who;
	void *state; /* the handler's own, in arena */

	/* exchange.c's own */
	struct fcgi_request *fcgi;
	struct pg_query *query; /* null: none is under way */
	exchange_result_h *on_result;
	exchange_hash_h *on_hash;
	route_h *on_large;
	struct large large;
	uint64_t began_ms;
	enum exchange_phase phase;
	bool gone, body_taken;
};

/** A request has arrived (fcgi_request_h; arg is the struct app). */
void exchange_start(struct fcgi_request *r, void *arg);

/** Parameters of a statement, p_who and p_proof already in them. */
void exchange_args(struct exchange *x, struct pg_args *args);

/**
 * Add p_key and p_print: Idempotency-Key, and SHA-256 of method, path and
 * body under it; nulls without one.
 *
 * @return false: the key is too long or empty, and the problem is answered
 */
bool exchange_idempotency(struct exchange *x, struct pg_args *args);

/**
 * Add If-Match as p_if_match, null without one.
 *
 * @return false: no version of ours can match, and 412 is answered
 */
bool exchange_if_match(struct exchange *x, struct pg_args *args);

/** The one SQL call. A refusal (RSnnn: status nnn) or loss is answered by
 *  exchange.c. `bell` of a write's rows is rung. */
void exchange_query(struct exchange *x, const struct pg_stmt *st,
		    const struct pg_args *args, exchange_result_h *on_result);

/** Ask before more than 64 KiB of content are in memory: on_large goes on,
 *  at once or in this caller's turn. 503 `busy` if that takes too long. */
void exchange_hold_large(struct exchange *x, route_h *on_large);

/** Hash a new password (sign-up). 503 `busy` when too many wait. */
void exchange_hash(struct exchange *x, const char *password,
		   exchange_hash_h *on_hash);

/** Answer with x->res. */
void exchange_answer(struct exchange *x);
/** Answer with what error.h says of it. */
void exchange_error(struct exchange *x, enum app_err err);

/** Answer with a problem; see problem.h. detail may be null. */
void exchange_problem(struct exchange *x, int status, const char *slug,
		      const char *detail);
/** The same, with the JSON pointer of the member that is wrong. */
void exchange_problem_at(struct exchange *x, int status, const char *slug,
			 const char *detail, const char *pointer);
/** The same, with everything. request_id is filled in. */
void exchange_problem_full(struct exchange *x, struct problem p);

/** 400: a parameter of the query, see request_bad_query(). @return false */
bool exchange_parameter(struct exchange *x, const char *name, const char *is);

/**
 * The type, of these in order of preference, that Accept chooses; null: 406 has
 * been answered. Null is at the end of types; Vary is set.
 */
const char *exchange_accept(struct exchange *x, const char *const *types);

/** 415 with the types that are possible, separated by `, `. */
void exchange_unsupported(struct exchange *x, const char *possible);

/** Let restsip-stream answer: nginx asks it the same (X-Accel-Redirect). */
void exchange_hand_over(struct exchange *x);

/** Whether it may end or wait; if not, that is logged. For exchange*.c. */
bool exchange_may_end(const struct exchange *x);
bool exchange_is_large(const struct exchange *x); /**< its body may be */
bool exchange_read_body(struct exchange *x);	  /**< false: it is answered */

/** JSON text with an ETag; 304 where If-None-Match says so and settled. */
void exchange_answer_doc(struct exchange *x, const char *doc,
			 const char *version, bool settled);

#endif
