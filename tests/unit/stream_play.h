/*
 * stream_play.h: for test_stream_*.c: the database, the loop and the streams
 * played, so that the machine above them can be taken through any order of
 * events. What is asked waits until the test answers it.
 */
#ifndef STREAM_PLAY_H
#define STREAM_PLAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "common/buf.h"
#include "common/log.h"
#include "shared/auth.h"
#include "shared/db.h"
#include "shared/loop.h"
#include "stream/bytes/stream.h"
#include "stream/hub/hub.h"
#include "stream/hub/kinds.h"
#include "stream/hub/poll.h"
#include "stream/viewer/state.h"
#include "stream/viewer/viewers.h"

enum {
	ASKED_MAX = 4096,
	TIMERS_MAX = 64,
	COLUMNS_MAX = 16,
	VALUE_SIZE = 64,
};

/* ---- the log: only that no step was refused ---- */

static size_t wrong_steps;

struct log_field log_field_str(const char *key, const char *s)
{
	return (struct log_field){.key = key, .str = s, .is_str = 1};
}

void log_emit(enum log_level level, const char *event,
	      const struct log_field *fields)
{
	(void)level;
	if (strcmp(event, "viewer_step") != 0)
		return;
	wrong_steps++;
	print_message("a step from %d to %d\n", (int)fields[0].num,
		      (int)fields[1].num);
}

void log_often(enum log_level level, unsigned every_s, size_t keys,
	       const char *event, const struct log_field *fields)
{
	(void)level; /* no step is told by it */
	(void)every_s;
	(void)keys;
	(void)event;
	(void)fields;
}

/* ---- the loop ---- */

static struct loop_timer *timers[TIMERS_MAX];
static uint64_t now_ms;

uint64_t loop_now_ms(const struct loop *l)
{
	(void)l;
	return now_ms;
}

void loop_cancel(struct loop *l, struct loop_timer *t)
{
	(void)l;
	for (size_t i = 0; i < TIMERS_MAX; i++)
		if (timers[i] == t)
			timers[i] = NULL;
	t->runs = false;
}

void loop_after(struct loop *l, struct loop_timer *t, uint64_t ms,
		loop_h *fired, void *arg)
{
	size_t i = 0;

	loop_cancel(l, t);
	while (i < TIMERS_MAX && timers[i])
		i++;
	assert_true(i < TIMERS_MAX);
	timers[i] = t;
	*t = (struct loop_timer){
		.fired = fired,
		.arg = arg,
		.at_ms = now_ms + ms,
		.runs = true,
	};
}

/* What is due, and what that brings about at once. */
static inline void turn(void)
{
	for (size_t i = 0; i < TIMERS_MAX; i++) {
		struct loop_timer *t = timers[i];

		if (!t || t->at_ms > now_ms)
			continue;
		loop_cancel(NULL, t);
		t->fired(t->arg);
		i = (size_t)-1;
	}
}

/* Long enough for the poll to have looked at every topic. */
static inline void wait_for_poll(void)
{
	for (uint64_t ms = 0; ms <= POLL_S * 1000; ms += POLL_STEP_MS) {
		turn();
		now_ms += POLL_STEP_MS;
	}
	turn();
}

/* ---- the database ---- */

struct pg_query {
	const struct pg_stmt *st;
	pg_answer_h *answered;
	void *arg;
	char value[PG_ARGS_MAX][VALUE_SIZE];
	bool forgotten, done;
};

static struct pg_query asked[ASKED_MAX];
static size_t nasked;
static bool db_is_full; /* it takes nothing */

struct pg_query *db_ask(struct db *db, const struct pg_stmt *st,
			const struct pg_args *args, pg_answer_h *answered,
			void *arg)
{
	struct pg_query *q = &asked[nasked];

	assert_non_null(db);
	if (db_is_full)
		return NULL;
	assert_true(nasked < ASKED_MAX);
	nasked++;
	*q = (struct pg_query){.st = st, .answered = answered, .arg = arg};
	assert_int_equal(args->n, st->nparams);
	for (int i = 0; i < args->n; i++)
		(void)snprintf(q->value[i], VALUE_SIZE, "%s",
			       args->value[i] ? args->value[i] : "null");
	return q;
}

struct pg_query *db_ask_as(struct db *db, const struct db_whose *whose,
			   const struct pg_stmt *st, const struct pg_args *args,
			   pg_answer_h *answered, void *arg)
{
	(void)whose;
	return db_ask(db, st, args, answered, arg);
}

bool db_forget(struct pg_query *q)
{
	assert_false(q->forgotten || q->done);
	q->forgotten = true;
	return false;
}

static inline bool is_named(const struct pg_query *q, const char *name)
{
	size_t n = strlen(name); /* watch_read is watch_read_locked too */

	return !strncmp(q->st->name, name, n);
}

/* How many wait for an answer. */
static inline size_t asks(const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < nasked; i++)
		n += !asked[i].forgotten && !asked[i].done &&
		     is_named(&asked[i], name);
	return n;
}

/* The oldest of them. */
static inline struct pg_query *ask_of(const char *name)
{
	for (size_t i = 0; i < nasked; i++)
		if (!asked[i].forgotten && !asked[i].done &&
		    is_named(&asked[i], name))
			return &asked[i];
	fail_msg("%s was not asked", name);
	return NULL;
}

/* Columns are named with blanks between them; a row has '|', ~ is null. */
static inline PGresult *result_of(const char *columns, const char *const *rows,
				  size_t n)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc desc[COLUMNS_MAX] = {0};
	char *names = strdup(columns), *next = names;
	int ncolumns = 0;

	for (char *name; (name = strsep(&next, " "));)
		desc[ncolumns++].name = name;
	assert_true(ncolumns <= COLUMNS_MAX);
	assert_true(PQsetResultAttrs(res, ncolumns, desc));
	free(names);
	for (size_t row = 0; row < n; row++) {
		char *line = strdup(rows[row]), *at = line;

		for (int i = 0; i < ncolumns; i++) {
			char *value = strsep(&at, "|");

			assert_non_null(value);
			if (strcmp(value, "~") != 0)
				assert_true(PQsetvalue(res, (int)row, i, value,
						       (int)strlen(value)));
			else
				assert_true(
					PQsetvalue(res, (int)row, i, NULL, -1));
		}
		free(line);
	}
	return res;
}

static inline void tell(struct pg_query *q, const struct pg_answer *a)
{
	assert_false(q->done);
	q->done = true;
	if (!q->forgotten)
		q->answered(a, q->arg);
}

static inline void answer_rows(struct pg_query *q, const char *columns,
			       const char *const *rows, size_t n)
{
	PGresult *res = result_of(columns, rows, n);
	const struct pg_answer a = {
		.end = PG_OK,
		.res = res,
		.status = 200,
		.sqlstate = "",
		.slug = "",
		.detail = "",
		.pointer = "",
	};

	tell(q, &a);
	PQclear(res);
}

#define ANSWER(name, columns, ...) \
	answer_rows(ask_of(name), (columns), \
		    (const char *const[]){__VA_ARGS__}, \
		    sizeof((const char *const[]){__VA_ARGS__}) / \
			    sizeof(const char *))

static inline void fail_query(struct pg_query *q, enum pg_end outcome,
			      int status, const char *slug)
{
	const struct pg_answer a = {
		.end = outcome,
		.status = status,
		.sqlstate = "",
		.slug = slug,
		.detail = "",
		.pointer = "",
	};

	tell(q, &a);
}

static inline void refuse(const char *name, int status, const char *slug)
{
	fail_query(ask_of(name), PG_REFUSED, status, slug);
}

static inline void lose(const char *name)
{
	fail_query(ask_of(name), PG_AWAY, 503, "unavailable");
}

/* ---- streams ---- */

struct stream {
	size_t pending;
	uint64_t sent, position;
	uint32_t deadline_s;
	bool finished;
	struct buf text;
};

size_t stream_pending(const struct stream *s)
{
	return s->pending;
}

uint64_t stream_sent(const struct stream *s)
{
	return s->sent;
}

uint64_t stream_position(const struct stream *s)
{
	return s->position;
}

void stream_deadline(struct stream *s, uint32_t at_s)
{
	s->deadline_s = at_s;
}

void stream_write(struct stream *s, const void *p, size_t n)
{
	s->position += n;
	buf_add(&s->text, p, n);
}

void stream_finish(struct stream *s)
{
	s->finished = true;
}

uint32_t stream_now_s(const struct stream_pool *pool)
{
	(void)pool;
	return (uint32_t)(now_ms / 1000) + 1;
}

/* ---- what was said ---- */

static struct buf said;

/* Since the last look: it is forgotten then. */
static inline void expect(const char *what)
{
	buf_char(&said, '\0');
	assert_false(said.failed);
	assert_string_equal(said.p, what);
	buf_reset(&said);
}

/* ---- the program ---- */

static struct hub *hub;
static struct viewers *viewers;

static inline void hub_begin(void)
{
	hub_session(hub)->connected(hub_session(hub)->arg);
	ANSWER("stream_start", "process", "1");
}

static inline void hub_lose(void)
{
	hub_session(hub)->lost(hub_session(hub)->arg);
	/* What was under way fails with the connection. */
	for (size_t i = 0; i < nasked; i++)
		if (!asked[i].done && asked[i].st->session)
			fail_query(&asked[i], PG_AWAY, 503, "unavailable");
}

static inline void ring(const char *topic)
{
	hub_session(hub)->notified("restsip_change", topic,
				   hub_session(hub)->arg);
}

static inline void play_begin(void)
{
	nasked = wrong_steps = 0;
	db_is_full = false;
	now_ms = 1000000;
	assert_int_equal(hub_new(&hub, NULL, NULL, "test"), 0);
	assert_int_equal(viewers_new(&viewers, hub), 0);
	hub_use(hub, (struct db *)&asked);
	hub_begin();
}

static inline void play_end(void)
{
	/* As the database does at its end: all is answered. */
	for (size_t i = 0; i < nasked; i++)
		if (!asked[i].done)
			fail_query(&asked[i], PG_AWAY, 503, "unavailable");
	hub_use(hub, NULL);
	viewers_free(viewers);
	hub_free(hub);
	assert_int_equal(wrong_steps, 0);
}

/* ---- what the database says ---- */

#define OPENED "key id inside mine expires_s version session caller access"
#define READ "version prior doc gone recheck more"
#define INBOX "head inbox n sender content_type body sent_at"

static inline void open_call(void)
{
	ANSWER("watch_open", OPENED, "1|1|f|f|~|1|~|7|1");
}

static inline void open_mine(void)
{
	ANSWER("watch_open", OPENED, "alice@example.net|7|f|t|~|1|~|7|1");
}

#endif
