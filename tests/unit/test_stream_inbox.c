/*
 * Who of an inbox's seats gets what is read for all, with the database and
 * the owners of the seats played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "stream/hub/inbox.h"
#include "stream/hub/kinds.h"
#include "stream/hub/topic_parts.h"

enum {
	ASKED_MAX = 8,
};

/* What was asked, oldest first; in the order in which a test answers. */
static struct {
	pg_answer_h *answered;
	void *arg;
	char after[24];
} asked[ASKED_MAX];
static size_t nasked;
static char *shown[2]; /* to each seat: " 101 102" */
static struct inbox_seat seats[2];

/* ---- those around it ---- */

struct pg_query *db_ask(struct db *db, const struct pg_stmt *st,
			const struct pg_args *args, pg_answer_h *answered,
			void *arg)
{
	(void)db;
	(void)st;
	assert_true(nasked < ASKED_MAX);
	asked[nasked].answered = answered;
	asked[nasked].arg = arg;
	(void)snprintf(asked[nasked].after, sizeof(asked->after), "%s",
		       args->value[1] ? args->value[1] : "null");
	return (struct pg_query *)&asked[nasked++];
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
	(void)q;

	return false;
}

uint32_t stream_now_s(const struct stream_pool *pool)
{
	(void)pool;
	return 1;
}

/* ---- answers ---- */

static void set(PGresult *res, int row, int column, int64_t n)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%lld", (long long)n);

	assert_true(PQsetvalue(res, row, column, text, len));
}

/* Messages `from` to `to`, none where that is less; and the head. */
static void answer(size_t which, int64_t head, int64_t from, int64_t to)
{
	static char names[][16] = {"head",	   "inbox", "n",      "sender",
				   "content_type", "body",  "sent_at"};
	PGresAttDesc columns[7] = {0};
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	struct pg_answer a = {.end = PG_OK, .res = res};
	int row = 0;

	for (int i = 0; i < 7; i++)
		columns[i].name = names[i];
	assert_non_null(res);
	assert_true(PQsetResultAttrs(res, 7, columns));
	set(res, 0, 0, head);
	for (int64_t number = from; number <= to; number++, row++) {
		set(res, row, 0, head);
		set(res, row, 1, number);
		set(res, row, 2, number);
		assert_true(PQsetvalue(res, row, 5, (char[]){"\\x78"}, 4));
	}
	asked[which].answered(&a, asked[which].arg);
	PQclear(res);
}

/* ---- an account with two ---- */

static struct place place = {.db = (struct db *)&place};
static struct topics topics;
static struct topic *topic;

static bool on_message(struct inbox_seat *s, int64_t number, const char *data,
		       size_t n, uint64_t event)
{
	char **to = &shown[s == &seats[1]];
	char *was = *to;

	(void)data;
	(void)n;
	(void)event;
	assert_true(asprintf(to, "%s %lld", was ? was : "", (long long)number) >
		    0);
	free(was);
	s->at = number;
	return true;
}

static const struct inbox_ops inbox_ops = {.message = on_message};

static int setup(void **state)
{
	const struct view view = {
		.kind = kind_find("login"),
		.key = "alice@example.net",
		.id = 7,
	};

	(void)state;
	nasked = 0;
	assert_int_equal(topics_init(&topics, &place), 0);
	topic = topic_get(&topics, &view);
	assert_non_null(topic);
	for (size_t i = 0; i < 2; i++) {
		seats[i] = (struct inbox_seat){.ops = &inbox_ops, .at = 99};
		shown[i] = NULL;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	topics_clear(&topics);
	for (size_t i = 0; i < 2; i++)
		free(shown[i]);
	return 0;
}

/* An owner's answer, which has all but what is read for all. */
static void on_own(const struct pg_answer *a, void *arg)
{
	struct inbox_seat *s = arg;

	if (inbox_rows(a))
		for (int i = 0; i < inbox_rows(a); i++)
			(void)on_message(s, inbox_number(a, i), "", 0, 0);
	inbox_join(s);
	if (s->behind)
		assert_non_null(inbox_ask(s, on_own, s));
}

/* It comes with number 99, and asks for what it lacks. */
static void come(struct inbox_seat *s)
{
	assert_int_equal(inbox_attach(s, topic), 0);
	s->check = false;
	assert_non_null(inbox_ask(s, on_own, s));
}

/* The first one keeps up, and nothing is under way. */
static void begin(void)
{
	come(&seats[0]);
	answer(0, 99, 1, 0);
	answer(1, 99, 1, 0); /* for all, once more */
	assert_int_equal(nasked, 2);
}

static void what_is_read_for_all_goes_to_all_who_keep_up(void **state)
{
	(void)state;
	begin();
	come(&seats[1]);
	answer(2, 99, 1, 0);
	topic_ring(topic);
	assert_int_equal(nasked, 4);
	assert_string_equal(asked[3].after, "99");
	answer(3, 101, 100, 101);
	assert_string_equal(shown[0], " 100 101");
	assert_string_equal(shown[1], " 100 101");
	assert_int_equal(inbox_head(topic->inbox), 101);
}

static void who_was_not_there_when_it_was_asked_misses_nothing(void **state)
{
	(void)state;
	begin();
	come(&seats[1]); /* asks; the answer takes a while */
	topic_ring(topic);
	answer(3, 100, 100, 100);
	topic_ring(topic); /* asks for all, from 100 on */
	assert_string_equal(asked[4].after, "100");
	inbox_detach(&seats[0]);
	answer(2, 99, 1, 0); /* from before 100 was there */
	answer(4, 101, 101, 101);
	assert_int_equal(nasked, 6);
	assert_string_equal(asked[5].after, "99");
	answer(5, 101, 100, 101);
	assert_string_equal(shown[1], " 100 101");
	assert_int_equal(inbox_head(topic->inbox), 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_read_for_all_goes_to_all_who_keep_up, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			who_was_not_there_when_it_was_asked_misses_nothing,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
