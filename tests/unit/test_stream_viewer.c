/*
 * The machine that a viewer is, from its request to its end: each state, and
 * each event in each state. The database, the loop and the outlet are played.
 */
#include "tests/unit/stream_outlet.h"

#include <errno.h>

enum {
	DOC = 1, /* the version of the first state */
};

static struct viewer *come(const char *kind)
{
	struct viewer_ask ask = {
		.kind = kind_find(kind),
		.key = strcmp(kind, "login") ? "1" : "alice@example.net",
		.inbox = -1,
	};

	return come_as(&ask);
}

/* With version 1. */
static struct viewer *come_back(const char *kind, bool once, bool diff)
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

static void answer_state(void)
{
	ANSWER("watch_read", READ, "1|~|{}|f|~|f");
}

static void answer_nothing(void)
{
	answer_rows(ask_of("watch_read"), READ, NULL, 0);
}

/* The read that makes up for who was writing, for all. */
static void settle(void)
{
	while (asks("watch_read"))
		answer_nothing();
}

/* ---- a viewer in each state ---- */

static struct viewer *reach_live(void)
{
	struct viewer *v = come("call");

	open_call();
	answer_state();
	settle();
	assert_int_equal(v->state, VIEWER_LIVE);
	return v;
}

static struct viewer *reach_behind(void)
{
	struct viewer *v = reach_live();

	stream_of(v)->pending = STREAM_QUEUE_MAX + 1;
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{}|f|~|f");
	return v;
}

static struct viewer *reach(enum viewer_state state)
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

/* ---- coming and going ---- */

static void a_state_and_then_what_is_read_for_all(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	assert_int_equal(v->state, VIEWER_ASKING);
	open_call();
	assert_int_equal(v->state, VIEWER_LOADING);
	answer_state();
	expect("begun state 1 {} ");
	assert_int_equal(v->state, VIEWER_LIVE);
	settle();
	ring("call/1");
	assert_int_equal(asks("watch_read"), 1);
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f", "3|2|{3}|f|~|f");
	expect("change 2 {2} change 3 {3} ");
	assert_int_equal(asks("watch_read"), 0);
}

static void who_comes_back_gets_what_was_missed(void **state)
{
	struct viewer *v = come_back("call", false, false);

	(void)state;
	open_call();
	assert_string_equal(ask_of("watch_read")->value[2], "1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|t");
	expect("resumed change 2 {2} ");
	assert_int_equal(v->state, VIEWER_READING);
	assert_string_equal(ask_of("watch_read")->value[2], "2");
	answer_nothing();
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void where_nothing_was_missed_the_stream_begins(void **state)
{
	struct viewer *v = come_back("call", false, false);

	(void)state;
	open_call();
	answer_nothing();
	expect("resumed ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void who_may_not_look_is_refused(void **state)
{
	(void)state;
	(void)come("call");
	refuse("watch_open", 403, "forbidden");
	expect("refused 403 ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void an_answer_after_death_is_for_nobody(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	viewer_free(v);
	turn();
	assert_int_equal(viewers->count, 0);
	open_call(); /* the row is there, and is closed again */
	expect("");
	assert_int_equal(asks("watch_close"), 2);
	v = come("call");
	open_call();
	viewer_free(v);
	assert_int_equal(asks("watch_read"), 0);
	turn();
	expect("");
	assert_int_equal(viewers->count, 0);
}

static void a_stream_that_does_not_begin_is_the_end(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	begin_error = ECANCELED;
	open_call();
	answer_state();
	expect("");
	assert_int_equal(v->state, VIEWER_DEAD);
	turn();
	assert_int_equal(viewers->count, 0);
}

static void one_whose_turn_has_not_come_reads_later(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	turn_has_come = false;
	open_call();
	assert_int_equal(v->state, VIEWER_TURN);
	assert_int_equal(asks("watch_read"), 0);
	turn_has_come = true;
	begin_error = EAGAIN;
	viewer_next(v);
	answer_state(); /* what was read before the stream is read again */
	assert_int_equal(v->state, VIEWER_TURN);
	viewer_next(v);
	begin_error = 0;
	answer_state();
	expect("begun state 1 {} ");
}

static void what_is_gone_ends_it(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|~|t|~|f");
	expect("gone 2 end gone ");
	assert_int_equal(v->state, VIEWER_ENDING);
	turn();
	assert_null(v->seat.topic); /* it looks at nothing while that is sent */
	assert_int_equal(viewers->count, 1);
	viewer_closed(v);
	turn();
	assert_int_equal(viewers->count, 0);
}

static void one_may_be_freed_while_another_is_told(void **state)
{
	struct viewer *first, *second;

	(void)state;
	first = reach_live();
	second = come("call");
	open_call();
	answer_state();
	settle();
	assert_int_equal(second->state, VIEWER_LIVE);
	buf_reset(&said);
	victim = first; /* it would be told next */
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("change 2 {2} ");
	turn();
	assert_int_equal(viewers->count, 1);
}

/* ---- a slow reader ---- */

static void who_is_slow_reads_for_itself_until_it_keeps_up(void **state)
{
	struct viewer *v = reach_behind();

	(void)state;
	buf_reset(&said);
	ring("call/1"); /* nobody keeps up */
	assert_int_equal(asks("watch_read"), 0);
	stream_of(v)->pending = STREAM_QUEUE_LOW + 1;
	viewer_moved(v);
	assert_int_equal(v->state, VIEWER_BEHIND);
	stream_of(v)->pending = STREAM_QUEUE_LOW;
	viewer_moved(v);
	assert_int_equal(v->state, VIEWER_READING);
	assert_string_equal(ask_of("watch_read")->value[2], "1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f", "3|2|{3}|f|~|f");
	expect("change 2 {2} change 3 {3} ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void what_is_passed_over_may_end_access_all_the_same(void **state)
{
	struct viewer *v = reach_behind();

	(void)state;
	buf_reset(&said);
	stream_of(v)->pending = 0;
	viewer_moved(v);
	stream_of(v)->pending = STREAM_QUEUE_MAX + 1; /* shows the last alone */
	ANSWER("watch_read", READ, "2|1|{2}|f|{7}|f", "3|2|{3}|f|~|f");
	expect("");
	assert_int_equal(v->state, VIEWER_CHECKING);
}

static void what_the_database_cannot_take_is_asked_later(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	db_is_full = true;
	answer_rows(ask_of("watch_open"), OPENED,
		    (const char *[]){"1|1|f|f|~|1|~|7|1"}, 1);
	assert_int_equal(v->state, VIEWER_TURN);
	db_is_full = false;
	wait_for_poll();
	assert_int_equal(v->state, VIEWER_LOADING);
	answer_state();
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void a_read_that_fails_ends_nobody_who_has_a_stream(void **state)
{
	struct viewer *v = reach(VIEWER_READING);

	(void)state;
	buf_reset(&said);
	lose("watch_read");
	assert_int_equal(v->state, VIEWER_BEHIND);
	expect("");
	wait_for_poll();
	assert_int_equal(v->state, VIEWER_READING);
}

/* ---- differences ---- */

static void what_is_no_step_is_read_anew(void **state)
{
	struct viewer *v = come_back("profile", false, true);

	(void)state;
	open_call();
	ANSWER("watch_read", READ, "1|~|{\"a\":1}|f|~|f",
	       "2|1|{\"a\":2}|f|~|f");
	expect("resumed state 1 {\"a\":1} change 2 "
	       "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}] ");
	assert_int_equal(v->state, VIEWER_LIVE);
	settle();
	ring("profile/1");
	ANSWER("watch_read", READ, "4|3|{\"a\":4}|f|~|f");
	expect("");
	assert_int_equal(v->state, VIEWER_READING);
	ANSWER("watch_read", READ, "4|~|{\"a\":4}|f|~|f");
	expect("state 4 {\"a\":4} ");
}

/* ---- the owner ---- */

static void the_owner_s_state_waits_for_the_number(void **state)
{
	struct viewer *v = come("login");

	(void)state;
	open_mine();
	answer_state();
	expect("");
	assert_int_equal(v->state, VIEWER_NUMBER);
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	buf_char(&said, '\0');
	assert_memory_equal(said.p, "begun state 1.5 {} message 1.6 ", 31);
	buf_reset(&said);
	assert_int_equal(v->mail->seat.at, 6);
	assert_null(v->mail->first_doc);
	assert_int_equal(asks("inbox_written"), 0);
	stream_of(v)->sent = stream_of(v)->position;
	viewer_moved(v);
	turn();
	assert_string_equal(ask_of("inbox_written")->value[2], "{6}");
}

static void a_message_that_does_not_fit_is_read_later(void **state)
{
	struct viewer *v = come_back("login", false, false);

	(void)state;
	open_mine();
	answer_nothing();
	ANSWER("inbox_read", INBOX, "5|5|1|bob|text/plain|\\x78|now");
	settle();
	while (asks("inbox_read"))
		ANSWER("inbox_read", INBOX, "5|~|~|~|~|~|~");
	assert_int_equal(v->state, VIEWER_LIVE);
	buf_reset(&said);
	stream_of(v)->pending = STREAM_QUEUE_MAX + 1;
	ring("login/alice@example.net");
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	expect("");
	assert_int_equal(v->state, VIEWER_BEHIND);
	settle();
	stream_of(v)->pending = 0;
	viewer_moved(v);
	while (asks("watch_read"))
		answer_nothing();
	assert_int_equal(v->state, VIEWER_READING);
	assert_string_equal(ask_of("inbox_read")->value[1], "5");
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	assert_int_equal(v->mail->seat.at, 6);
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void what_was_written_is_said_even_at_the_end(void **state)
{
	struct viewer *v = come("login");

	(void)state;
	open_mine();
	answer_state();
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	viewer_end(v, "session-ended");
	turn();
	stream_of(v)->sent = stream_of(v)->position;
	viewer_closed(v);
	turn();
	assert_int_equal(viewers->count, 0);
	assert_string_equal(ask_of("inbox_written")->value[2], "{6}");
}

static void a_number_that_is_none_of_ours_is_not_believed(void **state)
{
	struct viewer *v = come_back("login", false, false);

	(void)state;
	open_mine();
	answer_nothing();
	expect("resumed ");
	ANSWER("inbox_read", INBOX, "3|~|~|~|~|~|~"); /* it came with 5 */
	while (asks("watch_read"))
		answer_nothing();
	ANSWER("inbox_read", INBOX, "3|~|~|~|~|~|~");
	assert_int_equal(v->mail->seat.at, 3);
}

/* ---- access ---- */

static void who_is_checked_is_told_nothing(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("session/7");
	assert_int_equal(v->state, VIEWER_CHECKING);
	ring("call/1");
	assert_int_equal(asks("watch_read"), 0);
	turn();
	open_call();
	assert_int_equal(v->state, VIEWER_READING);
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("change 2 {2} ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void what_changes_while_it_is_checked_is_checked_too(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	ring("session/7");
	turn();
	assert_int_equal(asks("watch_open"), 1);
	ring("session/7");
	ring("session/7");
	turn();
	assert_int_equal(asks("watch_open"), 1);
	open_call(); /* as it was before */
	turn();
	assert_int_equal(v->state, VIEWER_CHECKING);
	assert_int_equal(asks("watch_open"), 1);
	open_call();
	assert_int_equal(v->state, VIEWER_READING);
}

static void access_that_is_lost_ends_the_stream(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("session/7");
	turn();
	refuse("watch_open", 404, "not-found");
	expect("end access-ended ");
	assert_int_equal(v->state, VIEWER_ENDING);
}

static void a_session_that_is_lost_while_loading_is_refused(void **state)
{
	struct viewer *v = reach(VIEWER_LOADING);

	(void)state;
	ring("session/7");
	assert_int_equal(v->state, VIEWER_ASKING);
	assert_int_equal(asks("watch_read"), 0); /* nothing is shown of it */
	turn();
	refuse("watch_open", 401, "unauthorized");
	expect("refused 401 ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void what_no_bell_told_is_found_by_the_poll(void **state)
{
	struct viewer *v = reach_live();
	struct pg_query *q;

	(void)state;
	wait_for_poll();
	while (asks("watch_poll")) {
		q = ask_of("watch_poll");
		if (strstr(q->value[0], "session"))
			break;
		answer_rows(q, "place version", NULL, 0);
		wait_for_poll();
	}
	q = ask_of("watch_poll");
	answer_rows(q, "place version",
		    (const char *[]){strncmp(q->value[0], "{session", 8)
					     ? "2|2"
					     : "1|2"},
		    1);
	assert_int_equal(v->state, VIEWER_CHECKING);
	assert_int_equal(v->session.topic ? 1 : 0, 1);
}

static void a_change_that_may_end_access_is_not_shown(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|{7}|f");
	expect("");
	assert_int_equal(v->state, VIEWER_CHECKING);
	turn();
	/* Another view of it: from the beginning. */
	ANSWER("watch_open", OPENED, "1|1|t|f|~|2|~|7|1");
	assert_string_equal(ask_of("watch_read")->value[2], "null");
	ANSWER("watch_read", READ, "2|~|{in}|f|~|f");
	expect("state 2 {in} ");
}

static void another_s_login_of_that_name_is_not_shown(void **state)
{
	struct viewer *v = come("login");

	(void)state;
	open_mine();
	answer_state();
	ANSWER("inbox_read", INBOX, "0|~|~|~|~|~|~");
	settle();
	buf_reset(&said);
	ring("session/7");
	turn();
	ANSWER("watch_open", OPENED, "alice@example.net|8|f|f|~|1|~|7|1");
	expect("end reopen ");
	assert_int_equal(v->state, VIEWER_ENDING);
}

/* ---- who is in a call by its streams ---- */

#define OPENED_PART OPENED " participant"

static struct viewer *take_part(void)
{
	struct viewer *v = come("call");

	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	answer_state();
	settle();
	assert_int_equal(v->state, VIEWER_LIVE);
	assert_non_null(v->part);
	return v;
}

/* How often it was said that nobody of them is there any more. */
static size_t parts_closed(void)
{
	size_t n = 0;

	for (size_t i = 0; i < nasked; i++)
		n += is_named(&asked[i], "watch_close") &&
		     !strcmp(asked[i].value[1], "participant") &&
		     !strcmp(asked[i].value[2], "9");
	return n;
}

static void who_is_in_a_call_by_two_streams_leaves_with_the_last(void **state)
{
	struct viewer *first = take_part(), *last = take_part();

	(void)state;
	viewer_closed(first);
	turn();
	assert_int_equal(parts_closed(), 0);
	viewer_closed(last);
	turn();
	assert_int_equal(parts_closed(), 1);
}

static void who_is_put_out_is_watched_no_more(void **state)
{
	struct viewer *v = take_part();

	(void)state;
	ring("session/7");
	turn();
	open_call(); /* without it */
	assert_null(v->part);
	assert_int_equal(parts_closed(), 1);
}

static void who_is_in_a_call_still_is_after_the_database_was_away(void **state)
{
	struct viewer *v = take_part();

	(void)state;
	hub_lose();
	hub_begin();
	turn();
	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	settle();
	assert_int_equal(parts_closed(), 0);
	viewer_closed(v);
	turn();
	assert_int_equal(parts_closed(), 1);
}

static void a_watch_that_was_closed_meanwhile_is_opened_again(void **state)
{
	struct viewer *first = take_part(), *last = come("call");

	(void)state;
	turn(); /* its watch_open is on its way */
	viewer_closed(first);
	turn();
	assert_int_equal(parts_closed(), 1);
	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	assert_null(last->part);
	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	assert_non_null(last->part);
	assert_int_equal(parts_closed(), 1);
}

/* ---- the database goes, and comes back ---- */

static void who_waits_for_a_first_state_is_refused(void **state)
{
	(void)state;
	(void)reach(VIEWER_HELD);
	(void)reach(VIEWER_LOADING);
	(void)reach(VIEWER_ASKING);
	buf_reset(&said);
	hub_lose();
	expect("refused 503 refused 503 refused 503 ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void streams_outlive_the_connection(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	hub_lose();
	assert_int_equal(v->state, VIEWER_LIVE);
	hub_begin();
	assert_int_equal(v->state, VIEWER_REOPENING);
	turn();
	/* What is read for all is told meanwhile. */
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("change 2 {2} ");
	open_call();
	assert_int_equal(v->state, VIEWER_LIVE);
	/* One read makes up for all that was not rung. */
	assert_int_equal(asks("watch_read"), 1);
	assert_string_equal(ask_of("watch_read")->st->name,
			    "watch_read_locked");
}

static void one_that_is_reopened_may_be_checked_too(void **state)
{
	struct viewer *v = reach(VIEWER_REOPENING);

	(void)state;
	turn();
	ring("session/7");
	assert_int_equal(v->state, VIEWER_CHECKING);
	assert_int_equal(asks("watch_open"), 1);
	open_call();
	assert_int_equal(v->state, VIEWER_CHECKING);
	turn();
	open_call();
	assert_int_equal(v->state, VIEWER_READING);
}

static void a_drain_ends_all(void **state)
{
	(void)state;
	(void)reach_live();
	(void)reach(VIEWER_LOADING);
	buf_reset(&said);
	viewers_drain(viewers);
	expect("refused 503 end restart ");
	turn();
	assert_int_equal(viewers->count, 1); /* until its end is out */
}

/* ---- one answer ---- */

static void a_long_poll_is_answered_with_what_has_changed(void **state)
{
	struct viewer *v = come_back("call", true, false);

	(void)state;
	open_call();
	ANSWER("watch_read", READ, "3|2|{3}|f|~|f");
	expect("answer 3 {3} ");
	assert_int_equal(v->state, VIEWER_DEAD);
}

static void a_long_poll_waits_where_nothing_has(void **state)
{
	struct viewer *v = come_back("call", true, false);

	(void)state;
	open_call();
	answer_nothing();
	expect("waits ");
	assert_int_equal(v->state, VIEWER_HELD);
	settle();
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("answer 2 {2} ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void a_long_poll_may_get_a_difference(void **state)
{
	(void)state;
	(void)come_back("call", true, true);
	open_call();
	ANSWER("watch_read", READ, "1|0|{\"a\":1}|f|~|f",
	       "2|1|{\"a\":2}|f|~|f");
	expect("patch 2 [{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}] ");
}

static void a_long_poll_of_what_is_gone_is_refused(void **state)
{
	struct viewer *v = reach(VIEWER_HELD);

	(void)state;
	buf_reset(&said);
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|~|t|~|f");
	expect("refused 404 ");
	assert_int_equal(v->state, VIEWER_DEAD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_event_may_come_in_any_state),
		TEST(a_state_and_then_what_is_read_for_all),
		TEST(who_comes_back_gets_what_was_missed),
		TEST(where_nothing_was_missed_the_stream_begins),
		TEST(who_may_not_look_is_refused),
		TEST(an_answer_after_death_is_for_nobody),
		TEST(a_stream_that_does_not_begin_is_the_end),
		TEST(one_whose_turn_has_not_come_reads_later),
		TEST(what_is_gone_ends_it),
		TEST(one_may_be_freed_while_another_is_told),
		TEST(who_is_slow_reads_for_itself_until_it_keeps_up),
		TEST(what_the_database_cannot_take_is_asked_later),
		TEST(a_read_that_fails_ends_nobody_who_has_a_stream),
		TEST(what_is_no_step_is_read_anew),
		TEST(the_owner_s_state_waits_for_the_number),
		TEST(a_message_that_does_not_fit_is_read_later),
		TEST(what_was_written_is_said_even_at_the_end),
		TEST(a_number_that_is_none_of_ours_is_not_believed),
		TEST(who_is_checked_is_told_nothing),
		TEST(what_changes_while_it_is_checked_is_checked_too),
		TEST(access_that_is_lost_ends_the_stream),
		TEST(a_session_that_is_lost_while_loading_is_refused),
		TEST(what_no_bell_told_is_found_by_the_poll),
		TEST(a_change_that_may_end_access_is_not_shown),
		TEST(what_is_passed_over_may_end_access_all_the_same),
		TEST(another_s_login_of_that_name_is_not_shown),
		TEST(who_is_in_a_call_by_two_streams_leaves_with_the_last),
		TEST(who_is_put_out_is_watched_no_more),
		TEST(who_is_in_a_call_still_is_after_the_database_was_away),
		TEST(a_watch_that_was_closed_meanwhile_is_opened_again),
		TEST(who_waits_for_a_first_state_is_refused),
		TEST(streams_outlive_the_connection),
		TEST(one_that_is_reopened_may_be_checked_too),
		TEST(a_drain_ends_all),
		TEST(a_long_poll_is_answered_with_what_has_changed),
		TEST(a_long_poll_waits_where_nothing_has),
		TEST(a_long_poll_may_get_a_difference),
		TEST(a_long_poll_of_what_is_gone_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
