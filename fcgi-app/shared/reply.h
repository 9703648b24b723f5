/*
 * reply.h: what both programs answer in the same way: why a caller is refused,
 * the headers of every answer, and its way out.
 */
#ifndef RESTSIP_REPLY_H
#define RESTSIP_REPLY_H

#include "common/error.h"
#include "shared/auth.h"
#include "shared/db.h"
#include "shared/fcgi.h"
#include "shared/problem.h"
#include "shared/request.h"
#include "shared/response.h"

/** The problems of an error, of a refusal by the database, and of a caller who
 *  is not let in (not AUTH_DONE). Borrowed from the table, a, or constant. */
struct problem reply_of_error(enum app_err err);
struct problem reply_of_answer(const struct pg_answer *a);
struct problem reply_of_auth(enum auth_result result,
			     const struct principal *p);

/** Make res that problem; p's request_id and ask are filled in. */
void reply_problem(struct response *res, const struct request *req,
		   struct problem p);

/** The headers that every answer has, a stream's too.
 *
 * @param origins  as of cors_headers()
 */
void reply_headers(struct response *res, const struct request *req,
		   const char *origins);

/**
 * Write the answer: headers are added first, and no body where there must be
 * none. Of one that has failed a 500 becomes. The request is still to be
 * finished; whether the peer was there is not said.
 */
void reply_send(struct fcgi_request *r, struct response *res,
		const struct request *req, const char *origins);

#endif
