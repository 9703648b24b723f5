/*
 * ask.h: what a request asks of restsip-stream: which resource, in which
 * form, from where on.
 */
#ifndef RESTSIP_STREAM_ASK_H
#define RESTSIP_STREAM_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "shared/request.h"
#include "stream/bytes/render.h"

enum {
	ASK_WAIT_MAX_S = 300,	 /* ?wait= */
	ASK_LIMIT_DEFAULT = 100, /* as PAGE_LIMIT_DEFAULT and */
	ASK_LIMIT_MAX = 1000,	 /* PAGE_LIMIT_MAX */
};

struct ask_one;

/** Borrowed from the request, its arena, or constant. */
struct ask {
	const char *kind; /* of sql/README.md; null: cannot be streamed */
	const char *key;
	int64_t n; /* one item of it; 0: all */
	enum format format;
	bool once; /* ?wait=: one answer as JSON */
	bool diff; /* ?updates=diff: JSON Patch */
	int wait_s;
	bool resume;		/* version is what the client has */
	int64_t version, inbox; /* inbox: negative: none */
	int64_t upto, after_n;	/* of a list: midway; upto 0: not */
	int limit;		/* of a list's first page */
	const char *after;	/* null: from the beginning */
	const char *ticket;	/* null: none */
	/* /watch: instead of the above but form and ticket; null: not that */
	struct ask_one *many;
	size_t nmany;
};

/** One of many. */
struct ask_one {
	const char *name; /* as it was asked for */
	bool ended;	  /* the client knows that it has */
	struct ask ask;	  /* what and from where */
};

/** Why not, as a problem; slug null: of the status. */
struct ask_problem {
	int status;
	const char *slug, *detail;
	const char *allow;   /* 405: the methods that are */
	const char *pointer; /* which of many; null: none */
};

/**
 * Take a request at its word.
 *
 * @param why  when EINVAL
 * @return 0 or EINVAL
 */
int ask_parse(struct ask *ask, const struct request *req, struct arena *a,
	      struct ask_problem *why);

/** An id, `version` or `version.inbox`. @return 0 or EINVAL */
int ask_parse_id(const char *s, int64_t *version, int64_t *inbox);

/** That of a list, `version` or `version.upto.n`. @return 0 or EINVAL */
int ask_parse_place(const char *s, int64_t *version, int64_t *upto, int64_t *n);

#endif
