/*
 * problem.h: errors as problem+json (RFC 9457). type is /problems/<slug>.
 */
#ifndef RESTSIP_PROBLEM_H
#define RESTSIP_PROBLEM_H

#include "common/buf.h"
#include "shared/response.h"

/** A problem. All is borrowed; what is null or "" is left out. */
struct problem {
	int status;
	const char *slug;    /* stable name; null: the status' own */
	const char *detail;  /* a sentence for people */
	const char *pointer; /* JSON pointer (RFC 6901) of the bad member */
	const char *request_id;
	bool ask;	   /* a 401 offers Basic too; see browser_may_ask() */
	int retry_s;	   /* of Retry-After; 0: what is usual for the status */
	const char *extra; /* more members, `"name":value,…`, raw JSON */
};

/** Write the problem as JSON. */
void problem_json(struct buf *b, const struct problem *p);

/**
 * Make res that problem; what was in it goes. A 401 gets WWW-Authenticate,
 * a 503 and 429 Retry-After.
 */
void problem_answer(struct response *res, const struct problem *p);

/** The title of a slug, or of the status where the slug is not known. */
const char *problem_title(const char *slug, int status);

#endif
