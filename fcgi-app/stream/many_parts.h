/*
 * many_parts.h: what many.c and many_write.c share, and nobody else.
 */
#ifndef RESTSIP_STREAM_MANY_PARTS_H
#define RESTSIP_STREAM_MANY_PARTS_H

#include "many.h"
#include "secret.h"
#include "watch.h"

enum {
	SLUG_SIZE = 64,
	DETAIL_SIZE = 256,
	POINTER_SIZE = 16,
};

struct member {
	struct many *many;
	struct viewer *viewer; /* null: not yet, or no more */
	char *name, *key, *after;
	struct viewer_ask ask;
	bool ended;   /* the resource has, or may not be seen any more */
	bool ready;   /* it could begin */
	bool as_send; /* a number below a login that is no contact */
	bool muted;   /* messages come with another */
};

struct refusal {
	int status;
	char slug[SLUG_SIZE], detail[DETAIL_SIZE], pointer[POINTER_SIZE];
};

struct many {
	struct hub *hub;
	const struct viewer_ops *ops;
	void *arg;
	struct stream *stream; /* null: not yet */
	struct proof *proof;
	enum format format;
	struct loop_timer soon;
	bool refused;
	bool ending;
	struct refusal why;
	uint8_t ticket[SHA256_SIZE];
	size_t n;
	struct member member[];
};

#endif
