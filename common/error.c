#include "common/error.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct app_err_info infos[APP_ERR_COUNT] = {
	[APP_OK] = {200, "ok", "It went well."},
	[APP_BAD_REQUEST] = {400, "bad-request", "The request is malformed."},
	[APP_INVALID_BODY] = {400, "invalid-body", "The body is malformed."},
	[APP_INVALID_MEMBER] = {400, "invalid-member",
				"A member of the body is wrong."},
	[APP_UNAUTHORIZED] =
		{401, "unauthorized",
		 "This needs credentials: Basic (email and password) or "
		 "Bearer (a token of POST /session)."},
	[APP_FORBIDDEN] = {403, "forbidden", "This is not yours to do."},
	[APP_CROSS_SITE] = {403, "cross-site",
			    "A page of another site cannot do this, unless its "
			    "origin is in the setting cors_origins."},
	[APP_NOT_FOUND] = {404, "not-found", "There is no such thing."},
	[APP_METHOD_NOT_ALLOWED] = {405, "method-not-allowed",
				    "That cannot be done here."},
	[APP_NOT_ACCEPTABLE] = {406, "not-acceptable",
				"It is not to be had in that form."},
	[APP_CONFLICT] = {409, "conflict",
			  "It does not go with how things are."},
	[APP_LENGTH] = {413, "content-too-large", "The body is too large."},
	[APP_UNSUPPORTED_TYPE] = {415, "unsupported-media-type",
				  "A body of that type is not taken here."},
	[APP_RANGE] = {416, "range-not-satisfiable", "There is no such part."},
	[APP_TOO_MANY_GUESSES] = {429, "too-many-guesses",
				  "Too many wrong passwords. Try again "
				  "later."},
	[APP_INTERNAL] = {500, "internal-error",
			  "Something is wrong with the server."},
	[APP_BUSY] = {503, "busy", "Too much is under way. Try again soon."},
	[APP_TOO_SLOW] = {503, "too-slow",
			  "It took the database longer than it may. Nothing "
			  "was done."},
	[APP_UNAVAILABLE] = {503, "unavailable",
			     "The database is away. Try again soon."},
	[APP_OUTCOME_UNKNOWN] = {503, "outcome-unknown",
				 "The database went away meanwhile: it may or "
				 "may not have been done."},
};

const struct app_err_info *app_err_info(enum app_err err)
{
	return &infos[(unsigned)err < APP_ERR_COUNT ? err : APP_INTERNAL];
}

/**
 * The HTTP status that an SQLSTATE stands for.
 *
 * @param sqlstate  Five characters; NULL: the connection was lost
 * @return  For RSnnn: nnn. 503 for what is better later (classes 08, 53, 57,
 *          40; a server that only lets read, a lock that was waited for too
 *          long), else 500: a fault of ours
 */
int sqlstate_status(const char *sqlstate)
{
	static const char *const later[] = {"08", "53",	   "57",
					    "40", "25006", "55P03"};

	if (!sqlstate)
		return 503;
	if (!strncmp(sqlstate, "RS", 2)) {
		const long status = strtol(sqlstate + 2, NULL, 10);

		return status >= 400 && status <= 599 ? (int)status : 500;
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++) {
		if (!strncmp(sqlstate, later[i], strlen(later[i])))
			return 503;
	}

	return 500;
}
