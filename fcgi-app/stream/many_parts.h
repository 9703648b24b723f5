/*
 * many_parts.h: what many.c, many_poll.c and many_write.c share, and nobody
 * else.
 */
#ifndef RESTSIP_STREAM_MANY_PARTS_H
#define RESTSIP_STREAM_MANY_PARTS_H

#include "common/secret.h"
#include "stream/many.h"
#include "stream/watch.h"

enum {
	SLUG_SIZE = 64,
	DETAIL_SIZE = 256,
	POINTER_SIZE = 16,
	LOAD_WINDOW = 4, /* resources that read their first state at a time */
	ID_MAX = MANY_MAX * (RENDER_ID_SIZE + 1),
};

struct member {
	struct many *many;
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
	bool once, waiting;
	uint32_t ends_s; /* once: when the session does, in that time */
	struct refusal why;
	uint8_t ticket[SHA256_SIZE];
	unsigned loading;
	size_t n;
	struct member member[];
};

/* many.c */

void many_destroy(struct many *m);

/** Open what is not there, begin, or answer: from the loop. */
void many_soon(struct many *m);

/** Refuse all; o: because of that one, or null. */
void many_refuse(struct many *m, const struct member *o, int status,
		 const char *slug, const char *detail);

/** The first state of one is there, or not wanted any more. */
void member_loaded(struct member *o);

/** Whether each may be seen or, once, is known. */
bool many_all_ready(const struct many *m);

/* many_poll.c: once */

/** Answer with what has moved, or wait until something has, if all are known.
 */
void many_poll(struct many *m);

/** As viewer_ops of one of them. */
void member_answered(int64_t version, const char *doc, bool patch, void *arg);
void member_waits(uint32_t ends_s, void *arg);

/** That it is no more, or may not be seen. */
void member_answer_gone(struct member *o);

/* many_write.c */

/** An event of one. own: its id in the body, or null. */
void many_write(struct member *o, const char *name, const char *own,
		const char *data, size_t n);

#endif
