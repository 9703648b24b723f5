/*
 * stream_come.h: for test_stream_*.c: viewers that come, and what the database
 * answers them.
 */
#ifndef STREAM_COME_H
#define STREAM_COME_H

#include "tests/unit/stream_outlet.h"

enum {
	DOC = 1, /* the version of the first state */
};

static inline struct viewer *come(const char *kind)
{
	struct viewer_ask ask = {
		.kind = kind_find(kind),
		.key = strcmp(kind, "login") ? "1" : "alice@example.net",
		.inbox = -1,
	};

	return come_as(&ask);
}

/* With version 1. */
static inline struct viewer *come_back(const char *kind, bool once, bool diff)
{
	struct viewer_ask ask = {
		.kind = kind_find(kind),
		.key = strcmp(kind, "login") ? "1" : "alice@example.net",
		.resume = true,
		.version = DOC,
		.inbox = strcmp(kind, "login") ? -1 : 5,
		.once = once,
		.diff = diff,
	};

	return come_as(&ask);
}

static inline void answer_state(void)
{
	ANSWER("watch_read", READ, "1|~|{}|f|~|f");
}

static inline void answer_nothing(void)
{
	answer_rows(ask_of("watch_read"), READ, NULL, 0);
}

/* The read that makes up for who was writing, for all. */
static inline void settle(void)
{
	while (asks("watch_read"))
		answer_nothing();
}

static inline struct viewer *reach_live(void)
{
	struct viewer *v = come("call");

	open_call();
	answer_state();
	settle();
	assert_int_equal(v->state, VIEWER_LIVE);
	return v;
}

static inline struct viewer *reach_behind(void)
{
	struct viewer *v = reach_live();

	stream_of(v)->pending = STREAM_QUEUE_MAX + 1;
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{}|f|~|f");
	return v;
}

/* One in that state; NULL where there is none. */
static inline struct viewer *reach(enum viewer_state state)
{
	struct viewer *v;

	switch (state) {
	case VIEWER_ASKING:
		return come("call");
	case VIEWER_TURN:
		turn_has_come = false;
		v = come("call");
		open_call();
		break;
	case VIEWER_LOADING:
		v = come("call");
		open_call();
		break;
	case VIEWER_NUMBER:
		v = come("login");
		open_mine();
		answer_state();
		break;
	case VIEWER_HELD:
		v = come_back("call", true, false);
		open_call();
		answer_nothing();
		settle();
		break;
	case VIEWER_BEHIND:
		v = reach_behind();
		break;
	case VIEWER_READING:
		v = reach_behind();
		stream_of(v)->pending = 0;
		viewer_moved(v);
		break;
	case VIEWER_LIVE:
		v = reach_live();
		break;
	case VIEWER_REOPENING:
		v = reach_live();
		hub_lose();
		hub_begin();
		break;
	case VIEWER_CHECKING:
		v = reach_live();
		ring("session/7");
		break;
	case VIEWER_ENDING:
		v = reach_live();
		viewer_end(v, "session-ended");
		break;
	case VIEWER_DEAD:
		v = reach_live();
		viewer_free(v);
		break;
	case VIEWER_STATES:
	default:
		return NULL;
	}
	assert_int_equal(v->state, state);
	return v;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
