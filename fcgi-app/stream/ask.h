/*
 * ask.h: what a request asks of restsip-stream: which resource, in which
 * form, from where on.
 */
#ifndef RESTSIP_STREAM_ASK_H
#define RESTSIP_STREAM_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "shared/problem.h"
#include "shared/request.h"
#include "stream/out/watch.h"
#include "stream/viewer/viewers.h"

enum {
	ASK_WAIT_MAX_S = 300,	 /* ?wait= */
	ASK_LIMIT_DEFAULT = 100, /* as PAGE_LIMIT_DEFAULT and */
	ASK_LIMIT_MAX = 1000,	 /* PAGE_LIMIT_MAX */
};

/** Borrowed from the request, its arena, or constant. */
struct ask {
	struct viewer_ask one; /* what is watched; who is left to be set */
	int wait_s;	       /* of a long poll */
	/* /watch: these instead, with the form and ticket of the one; null: it
	   is not that */
	struct watch_one *many;
	size_t nmany;
};

/** Why not. */
struct ask_problem {
	struct problem problem; /* its pointer: which of many */
	const char *allow;	/* 405: the methods that are */
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
