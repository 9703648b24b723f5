/*
 * The machine that a viewer is: each event in each of its states, and any two
 * in a row.
 */
#include "tests/unit/stream_come.h"

/* ---- each event in each state ---- */

static void event_none(struct viewer *v)
{
	(void)v;
}

static void event_free(struct viewer *v)
{
	viewer_free(v);
}

static void event_closed(struct viewer *v)
{
	viewer_closed(v);
}

static void event_moved(struct viewer *v)
{
	viewer_moved(v);
}

static void event_due(struct viewer *v)
{
	viewer_end(v, "session-ended");
}

static void event_next(struct viewer *v)
{
	turn_has_come = true;
	viewer_next(v);
}

static void event_bell(struct viewer *v)
{
	(void)v;
	ring("call/1");
	ring("login/alice@example.net");
}

static void event_session(struct viewer *v)
{
	(void)v;
	ring("session/7");
	ring("session/7");
}

static void event_poll(struct viewer *v)
{
	(void)v;
	wait_for_poll();
}

static void event_lost(struct viewer *v)
{
	(void)v;
	hub_lose();
}

static void event_back(struct viewer *v)
{
	(void)v;
	hub_lose();
	hub_begin();
}

static void event_drain(struct viewer *v)
{
	(void)v;
	viewers_drain(viewers);
}

static void event_leave(struct viewer *v)
{
	if (!v->outlet->once)
		viewer_leave(v);
}

static void event_refused(struct viewer *v)
{
	(void)v;
	if (asks("watch_open"))
		refuse("watch_open", 403, "forbidden");
	else if (asks("watch_read"))
		refuse("watch_read", 404, "not-found");
	else if (asks("inbox_read"))
		refuse("inbox_read", 404, "not-found");
}

static void event_gone(struct viewer *v)
{
	(void)v;
	ring("call/1");
	if (asks("watch_read"))
		ANSWER("watch_read", READ, "3|2|~|t|~|f");
}

static void event_full(struct viewer *v)
{
	(void)v;
	db_is_full = true;
	turn_has_come = true;
	ring("session/7");
	wait_for_poll();
	db_is_full = false;
}

/* Answer whatever is asked, in the order in which it was, a while long. */
static void answer_all(void)
{
	for (size_t i = 0; i < nasked && i < ASKED_MAX / 2; i++) {
		struct pg_query *q = &asked[i];
		static const char *const opened[] = {
			"1|1|f|f|~|9|~|7|1",
			"alice@example.net|7|f|t|~|9|~|7|1"};
		static const char *const whole = "9|~|{}|f|~|f";
		static const char *const inbox = "5|~|~|~|~|~|~";

		if (q->done || q->forgotten)
			continue;
		if (is_named(q, "watch_open"))
			answer_rows(q, OPENED,
				    &opened[!strcmp(q->value[4], "login")], 1);
		else if (is_named(q, "watch_read"))
			answer_rows(q, READ, &whole,
				    strcmp(q->value[2], "9") != 0);
		else if (is_named(q, "inbox_read"))
			answer_rows(q, INBOX, &inbox, 1);
		else if (is_named(q, "watch_poll"))
			answer_rows(q, "place version", NULL, 0);
		else if (is_named(q, "stream_start"))
			answer_rows(q, "process", (const char *[]){"2"}, 1);
		else
			answer_rows(q, "ok", (const char *[]){"t"}, 1);
		turn();
	}
}

static void (*const events[])(struct viewer *v) = {
	event_none,  event_free,    event_closed, event_moved,
	event_due,   event_next,    event_bell,	  event_session,
	event_poll,  event_lost,    event_back,	  event_drain,
	event_leave, event_refused, event_gone,	  event_full,
};

/* Whatever comes, nobody is stuck, and what ends is freed. */
static void any_event_may_come_in_any_state(void **state)
{
	size_t n = sizeof(events) / sizeof(*events);

	for (int s = 0; s < VIEWER_STATES; s++)
		for (size_t i = 0; i < n * n; i++) {
			struct viewer *v;

			(void)setup(state);
			v = reach(s);
			/* Two in a row, the reaper behind them. */
			events[i / n](v);
			if (viewers->count && v->state < VIEWER_DEAD)
				events[i % n](v);
			turn();
			if (viewers->count && !viewers->place->draining &&
			    !viewers->place->started)
				hub_begin();
			for (size_t j = 0; j < 4; j++) {
				turn_has_come = true;
				streams[j].pending = 0;
			}
			answer_all();
			wait_for_poll();
			answer_all();
			if (viewers->count) {
				assert_ptr_equal(viewers->first, v);
				assert_true(v->state == VIEWER_LIVE ||
					    v->state == VIEWER_HELD ||
					    v->state == VIEWER_ENDING);
			}
			(void)teardown(state);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_event_may_come_in_any_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
