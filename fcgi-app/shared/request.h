/*
 * request.h: one HTTP request as FastCGI parameters tell it, taken apart and
 * decoded once.
 */
#ifndef RESTSIP_REQUEST_H
#define RESTSIP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

enum {
	REQUEST_SEGMENTS_MAX = 8,
	REQUEST_QUERY_MAX = 128, /* /watch names many resources */
	REQUEST_SHOWN_MAX = 60,	 /* bytes of a value in a sentence */
};

enum method {
	METHOD_OTHER,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_PATCH,
	METHOD_DELETE,
	METHOD_SEND,
	METHOD_CANCEL,
	METHOD_OPTIONS,
	METHOD_COUNT
};

struct request_pair {
	const char *name, *value; /* value "" where there is no `=` */
};

/** Everything is borrowed from the parameters or the arena. */
struct request {
	char *const *params;	 /* NAME=value, null at the end */
	enum method method;	 /* after X-HTTP-Method-Override */
	const char *method_name; /* as sent */
	const char *uri;	 /* REQUEST_URI */
	const char *path;	 /* decoded, for logs only */
	const char *segment[REQUEST_SEGMENTS_MAX]; /* decoded, UTF-8 */
	size_t segments;
	struct request_pair query[REQUEST_QUERY_MAX];
	size_t queries;
	const char *id;	    /* nginx's, or one made here */
	const char *remote; /* REMOTE_ADDR, "" if unknown */
};

/**
 * Take a request apart.
 *
 * @param params  NAME=value, null at the end; borrowed
 * @param detail  what is wrong, a constant sentence, when EINVAL
 * @return 0, EINVAL (400: bad escape, NUL, no UTF-8, too many parts), ENOMEM.
 *         method, id and remote are set in any case.
 */
int request_parse(struct request *req, struct arena *a, char *const *params,
		  const char **detail);

/**
 * A GET of a path, perhaps with a query, as in a request line, alone.
 *
 * @return as request_parse()
 */
int request_parse_path(struct request *req, struct arena *a, const char *path,
		       const char **detail);

/** A FastCGI parameter, or null. */
const char *request_param(const struct request *req, const char *name);

/** A header, by its name in any case (`If-Match`), or null. */
const char *request_header(const struct request *req, const char *name);

/** The first query parameter of that name, decoded, or null. */
const char *request_query(const struct request *req, const char *name);

/** A query parameter as a number in [min, max]. @return 0, ENOENT, EINVAL */
int request_query_int(const struct request *req, const char *name,
		      long long min, long long max, long long *out);

/**
 * A sentence about a query parameter that is none that it can be.
 *
 * @param is  what it is to be: goes on behind "`name` is"
 */
const char *request_bad_query(const struct request *req, struct arena *a,
			      const char *name, const char *is);

/** Media type of the body, without parameters, in lower case; "" if none. */
const char *request_media_type(const struct request *req, struct arena *a);

/** `GET`, …; "" for METHOD_OTHER. */
const char *method_name(enum method m);
enum method method_of(const char *name);

#endif
