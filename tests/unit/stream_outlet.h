/*
 * stream_outlet.h: for test_stream_*.c: an outlet, played. What a viewer says
 * is a line of words in `said`; its argument is the stream that it writes to.
 */
#ifndef STREAM_OUTLET_H
#define STREAM_OUTLET_H

#include "tests/unit/stream_play.h"

static struct stream streams[4];
static size_t nstreams;
static int begin_error;
static bool turn_has_come;
static struct viewer *victim; /* is freed while another is told */

static inline struct stream *stream_of(const struct viewer *v)
{
	return viewer_arg(v);
}

static bool on_may_load(struct viewer *v)
{
	(void)v;
	return turn_has_come;
}

static int on_begin(struct viewer *v, bool resumed)
{
	if (begin_error)
		return begin_error;
	buf_str(&said, resumed ? "resumed " : "begun ");
	viewer_set_stream(v, stream_of(v));
	return 0;
}

static void on_event(struct viewer *v, const char *name, bool with_id,
		     const char *data, size_t n, uint64_t number)
{
	char id[RENDER_ID_SIZE] = "-";

	assert_true(number);
	if (with_id)
		viewer_id(id, v, 0);
	buf_fmt(&said, "%s %s %.*s ", name, id, (int)n, data);
	stream_of(v)->position += n;
	viewer_free(victim);
	victim = NULL;
}

static void on_gone(struct viewer *v, int64_t version, uint64_t number)
{
	(void)v;
	assert_true(number);
	buf_fmt(&said, "gone %lld ", (long long)version);
}

static void on_end(struct viewer *v, const char *reason)
{
	(void)v;
	buf_fmt(&said, "end %s ", reason);
}

static void on_refuse(struct viewer *v, const struct pg_answer *why)
{
	(void)v;
	buf_fmt(&said, "refused %d ", why->status);
}

static void on_answer(struct viewer *v, int64_t version, const char *doc,
		      bool patch)
{
	(void)v;
	buf_fmt(&said, "%s %lld %s ", patch ? "patch" : "answer",
		(long long)version, doc);
}

static void on_wait(struct viewer *v, uint32_t ends_s)
{
	(void)v;
	(void)ends_s;
	buf_str(&said, "waits ");
}

static const struct outlet_ops outlet = {
	.may_load = on_may_load,
	.begin = on_begin,
	.event = on_event,
	.gone = on_gone,
	.end = on_end,
	.refuse = on_refuse,
};

static const struct outlet_ops once_outlet = {
	.once = true,
	.may_load = on_may_load,
	.answer = on_answer,
	.wait = on_wait,
	.refuse = on_refuse,
};

/* A viewer with an outlet and a stream of its own, asked for by somebody. */
static inline struct viewer *come_as(struct viewer_ask *ask)
{
	static const uint8_t token[4] = "abc";
	const struct principal who = {.proof = token, .proof_len = 4};
	struct viewer *v;

	assert_true(nstreams < sizeof(streams) / sizeof(*streams));
	if (!ask->who && !ask->ticket)
		ask->who = &who;
	assert_int_equal(viewer_new(&v, viewers, ask,
				    ask->once ? &once_outlet : &outlet,
				    &streams[nstreams++]),
			 0);
	turn();
	return v;
}

static inline int setup(void **state)
{
	(void)state;
	memset(streams, 0, sizeof(streams));
	buf_init(&said, 4096);
	nstreams = 0;
	begin_error = 0;
	turn_has_come = true;
	victim = NULL;
	play_begin();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	play_end();
	buf_free(&said);
	return 0;
}

#endif
