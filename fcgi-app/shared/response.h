/*
 * response.h: an answer while it is made: status, headers, body, and the
 * rules of validators (RFC 9110, 13) and caches.
 */
#ifndef RESTSIP_RESPONSE_H
#define RESTSIP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "shared/request.h"

enum {
	RESPONSE_HEADERS_MAX = 24,
	RESPONSE_BODY_MAX = 8 << 20, /* mail content, and slack */
	RESPONSE_HEAD_MAX = 16 << 10,
	MATCH_TAGS_MAX = 16,
};

/* What is said of every answer, unless it says its own: nothing in it runs, and
   no page shows it in a frame. */
#define RESPONSE_POLICY "default-src 'none'; frame-ancestors 'none'"

struct response_header {
	const char *name, *value;
};

struct response {
	struct arena *arena; /* borrowed */
	int status;	     /* 200 unless set */
	struct response_header header[RESPONSE_HEADERS_MAX];
	size_t headers;
	struct buf body;
	const char *type; /* Content-Type; null: no body */
	bool failed;	  /* no memory, 503, or too much, 500 */
	bool no_memory;	  /* failed for that */
	bool no_store;	  /* it shows a secret */
	bool exact; /* bytes that somebody left: no line feed at the end */
};

void response_init(struct response *res, struct arena *a);
void response_free(struct response *res);

/** Forget everything that was put in; keeps the arena. */
void response_reset(struct response *res);

/** Set a header; a name that is there is replaced. Both are copied. A value
 *  with a control character makes the response fail. */
void response_header(struct response *res, const char *name, const char *value);
void response_header_fmt(struct response *res, const char *name,
			 const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Another one of the same name, such as WWW-Authenticate. */
void response_header_add(struct response *res, const char *name,
			 const char *value);

/** Status and a finished JSON text (copied); null: an empty body. */
void response_json(struct response *res, int status, const char *json);

/** Status, type (copied) and bytes (copied). */
void response_bytes(struct response *res, int status, const char *type,
		    const void *p, size_t n);

/** Status 204 and nothing else. */
void response_empty(struct response *res, int status);

/** ETag: "version"; the version is a decimal number. */
void response_etag(struct response *res, const char *version);

/** Location; path parts must be percent-encoded already. */
void response_location(struct response *res, const char *path);

/** Link: <path?query>; rel="next". query is percent-encoded already. */
void response_next(struct response *res, const char *path, const char *query);

/** Cache-Control: no-store, instead of private, no-cache. */
void response_secret(struct response *res);

/**
 * Whether If-None-Match names the version: then the answer is 304, with the
 * ETag and without a body (RFC 9110, 13.1.2; weak comparison).
 */
bool response_not_modified(const struct request *req, const char *version);

/**
 * If-Match as a version (RFC 9110, 13.1.1; strong comparison).
 *
 * @param given  whether there is a version to be compared with
 * @return 0, or EINVAL: no tag of ours can match (412)
 */
int response_if_match(const struct request *req, bool *given, int64_t *version);

/** Add percent-encoded text, for a path segment or a query value. */
void uri_encode(struct buf *b, const char *s);

/**
 * The finished head, with the empty line: Status, headers, Content-Type,
 * Content-Length, and what keeps a browser from making more of it than it is.
 */
void response_head(const struct response *res, struct buf *head);

/** `Not Found` for 404; "" if unknown. */
const char *status_reason(int status);

#endif
