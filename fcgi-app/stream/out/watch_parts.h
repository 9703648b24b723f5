/*
 * watch_parts.h: a watch as out/watch*.c see it.
 */
#ifndef RESTSIP_STREAM_WATCH_PARTS_H
#define RESTSIP_STREAM_WATCH_PARTS_H

#include "common/secret.h"
#include "shared/loop.h"
#include "stream/out/outcome.h"
#include "stream/viewer/viewers.h"

enum {
	SLUG_SIZE = 64,
	DETAIL_SIZE = 256,
	POINTER_SIZE = 16,
};

struct member {
	struct watch *watch;
	struct viewer *viewer; /* null: not yet, or no more */
	char *name, *key, *after;
	struct viewer_ask ask;
	char *answer; /* once: JSON, what has become of it; null: nothing */
	bool ended;   /* the resource has, or may not be seen any more */
	bool ready;   /* it may be seen; once: it is known */
	bool loading; /* its first state is being read */
	bool news;    /* it has ended since the client was here */
	bool muted;   /* messages come with another */
};

struct refusal {
	int status;
	char slug[SLUG_SIZE], detail[DETAIL_SIZE], pointer[POINTER_SIZE];
};

struct watch {
	struct viewers *viewers;
	struct place *place;
	const struct outcome_ops *outcome;
	void *arg;
	struct stream *stream; /* null: not yet */
	struct proof *proof;
	enum format format;
	struct loop_timer soon;
	loop_h *turn; /* what it is for: whatever is not done at once */
	bool refused, ending;
	bool once, waiting;
	uint32_t ends_s; /* once: when the session does, in that time */
	struct refusal why;
	uint8_t ticket[SHA256_SIZE];
	unsigned loading;
	size_t n;
	struct member member[];
};

#endif
