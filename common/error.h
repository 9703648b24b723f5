/*
 * What can go wrong, once for everybody: our own errors, and what an SQLSTATE
 * means. An `RSnnn` of the database's functions is HTTP status nnn, its
 * MESSAGE the problem's name (see sql/README.md).
 */
#ifndef ERROR_H
#define ERROR_H

enum app_err {
	APP_OK,
	APP_BAD_REQUEST,
	APP_INVALID_BODY,
	APP_INVALID_MEMBER,
	APP_UNAUTHORIZED,
	APP_FORBIDDEN,
	APP_CROSS_SITE,
	APP_NOT_FOUND,
	APP_METHOD_NOT_ALLOWED,
	APP_NOT_ACCEPTABLE,
	APP_CONFLICT,
	APP_LENGTH,
	APP_UNSUPPORTED_TYPE,
	APP_RANGE,
	APP_TOO_MANY_GUESSES,
	APP_INTERNAL,
	APP_BUSY,
	APP_TOO_SLOW,
	APP_UNAVAILABLE,
	APP_OUTCOME_UNKNOWN,
	APP_ERR_COUNT,
};

struct app_err_info {
	int status;	    /**< HTTP */
	const char *slug;   /**< Stable: the problem's type is /problems/slug */
	const char *detail; /**< A sentence for people */
};

const struct app_err_info *app_err_info(enum app_err err);
int sqlstate_status(const char *sqlstate);

#endif
