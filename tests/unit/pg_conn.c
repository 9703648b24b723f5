/*
 * One connection: what goes together, what is asked once more, and what is told
 * when it is lost.
 */
#include "tests/unit/pg_play.h"

#include "common/clock.h"

static struct pg_conn *conns[2];
static unsigned notifies;
static bool again_later; /* when it is up again */
static int lock_ms;	 /* of the connections that are opened next */

/* ---- the program ---- */

static void put(struct asked *a, enum pg_then then)
{
	assert_int_equal(pg_conn_put(a->conn, &a->job, then), 0);
}

static void on_done(struct pg_job *job, bool again, uint64_t cost_us, void *arg)
{
	struct asked *a = (struct asked *)(void *)job;

	(void)cost_us;
	(void)arg;
	a->agains += again;
	if (!again)
		(void)pg_job_tell(job);
	else if (pg_conn_is_up(a->conn)) {
		put(a, PG_THEN_SYNC);
		pg_conn_flush(a->conn);
	} else
		again_later = true;
}

static void on_up(void *arg)
{
	(void)arg;
	ups++;
	for (size_t i = 0; again_later && i < nasked; i++)
		if (!asked[i].times && !asked[i].job.sent) {
			put(&asked[i], PG_THEN_SYNC);
			pg_conn_flush(asked[i].conn);
		}
	again_later = false;
	loop_stop(loop);
}

static void on_notified(const char *channel, const char *payload, void *arg)
{
	(void)arg;
	assert_string_equal(channel, "driver_bell");
	assert_string_equal(payload, "ding");
	notifies++;
	loop_stop(loop);
}

static void open_conns(size_t n, bool reads, int limit_ms)
{
	static const char *const channels[] = {"driver_bell", NULL};
	const struct pg_conn_conf conf = {
		.server = &server,
		.name = "test",
		.channels = channels,
		.limit_ms = limit_ms,
		.lock_ms = lock_ms,
		.late_ms = limit_ms,
		.depth = ASKED_MAX,
		.reads = reads,
		.h = {on_up, on_lost, on_done, NULL, on_notified, NULL},
	};

	forget_all();
	notifies = 0;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pg_conn_new(&conns[i], &conf), 0);
	run_until(&ups, (unsigned)n);
}

static void close_conns(void)
{
	for (size_t i = 0; i < 2; i++) {
		pg_conn_free(conns[i]);
		conns[i] = NULL;
	}
	each_was_told_once();
}

static struct asked *ask_on(struct pg_conn *c, const struct pg_stmt *stmt,
			    enum pg_then then)
{
	struct asked *a = &asked[nasked++];

	a->conn = c;
	a->job.stmt = stmt;
	a->job.h = answered;
	a->job.arg = a;
	put(a, then);
	return a;
}

static struct asked *ask(const struct pg_stmt *stmt, enum pg_then then)
{
	return ask_on(conns[0], stmt, then);
}

static void wait_for_all(void)
{
	for (size_t i = 0; i < 2; i++)
		if (conns[i])
			pg_conn_flush(conns[i]);
	run_until_answered();
}

static void must(const struct pg_stmt *stmt)
{
	const struct asked *a = ask(stmt, PG_THEN_SYNC);

	wait_for_all();
	assert_int_equal(a->end, PG_OK);
}

/* ---- statements ---- */

/* clang-format off */
static const struct pg_stmt one = STMT("select 1 as n");
static const struct pg_stmt two = STMT("select 2 as n");
static const struct pg_stmt wrong = STMT("select 1 / (random() * 0)::int");
static const struct pg_stmt slow = STMT("select pg_sleep(20)");
static const struct pg_stmt no_limit = STMT("set statement_timeout to 0");
static const struct pg_stmt bell = STMT("notify driver_bell, 'ding'");
static const struct pg_stmt kill_self = STMT(
	"select pg_terminate_backend(pg_backend_pid())");
static const struct pg_stmt drop = WRITE("drop table if exists driver_test");
static const struct pg_stmt create = WRITE(
	"create table driver_test (n int primary key deferrable "
	"initially deferred)");
static const struct pg_stmt widen = WRITE(
	"alter table driver_test add column more int default 7");
static const struct pg_stmt all = STMT("select * from driver_test");
static const struct pg_stmt add_1 = WRITE("insert into driver_test values (1)");
static const struct pg_stmt add_2 = WRITE("insert into driver_test values (2)");
static const struct pg_stmt add_3 = WRITE("insert into driver_test values (3)");
static const struct pg_stmt count = STMT(
	"select count(*) as n from driver_test");
static const struct pg_stmt read_only = STMT(
	"set default_transaction_read_only to on");
static const struct pg_stmt lock_it = STMT("select 5 as n, "
					   "pg_advisory_lock(7003)");
static const struct pg_stmt wait_for_it = STMT("select 6 as n, "
					       "pg_advisory_xact_lock(7003)");
static const struct pg_stmt keepalives = STMT(
	"select sum(reset_val::int) as n from pg_settings "
	"where name in ('tcp_keepalives_idle', 'tcp_keepalives_interval', "
	"'tcp_keepalives_count', 'tcp_user_timeout')");
/* Each locks the first, waits until the other has done so, and then locks the
 * other's. */
#define LOCKS(mine, others, n) \
	"with a as materialized (select pg_advisory_xact_lock(" #mine ")), " \
	"b as materialized (select pg_sleep(0.5) from a), " \
	"c as materialized (select pg_advisory_xact_lock(" #others \
	") from b) " \
	"insert into driver_test select " #n " from c"
static const struct pg_stmt lock_12 = WRITE(LOCKS(7001, 7002, 1));
static const struct pg_stmt lock_21 = WRITE(LOCKS(7002, 7001, 2));

/* clang-format on */

/* ---- tests ---- */

static void many_go_together(void **state)
{
	(void)state;
	open_conns(1, true, LIMIT_MS);
	for (int i = 0; i < ASKED_MAX; i++)
		ask(i % 2 ? &one : &two,
		    i % 8 == 7 ? PG_THEN_SYNC : PG_THEN_MORE);
	wait_for_all();
	for (int i = 0; i < ASKED_MAX; i++) {
		assert_int_equal(asked[i].end, PG_OK);
		assert_int_equal(asked[i].n, i % 2 ? 1 : 2);
		assert_int_equal(asked[i].agains, 0);
	}
	close_conns();
}

static void one_that_fails_lets_the_others_be_asked_again(void **state)
{
	(void)state;
	open_conns(1, true, LIMIT_MS);
	ask(&one, PG_THEN_MORE);
	ask(&wrong, PG_THEN_MORE);
	ask(&two, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(asked[0].end, PG_OK);
	assert_int_equal(asked[0].agains, 0);
	assert_int_equal(asked[1].end, PG_BUG);
	assert_int_equal(asked[1].agains, 0);
	assert_int_equal(asked[2].end, PG_OK);
	assert_int_equal(asked[2].n, 2);
	assert_int_equal(asked[2].agains, 1);
	close_conns();
}

static void a_deadlock_is_tried_once_more(void **state)
{
	const struct asked *n;

	(void)state;
	open_conns(2, false, LIMIT_MS);
	must(&drop);
	must(&create);
	ask_on(conns[0], &lock_12, PG_THEN_SYNC);
	ask_on(conns[1], &lock_21, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(asked[2].end, PG_OK);
	assert_int_equal(asked[3].end, PG_OK);
	assert_int_equal(asked[2].agains + asked[3].agains, 1);
	n = ask(&count, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(n->n, 2);
	must(&drop);
	close_conns();
}

static void a_stale_plan_is_prepared_anew(void **state)
{
	const struct asked *first, *second;

	(void)state;
	open_conns(1, false, LIMIT_MS);
	must(&drop);
	must(&create);
	must(&add_1);
	must(&all);
	must(&widen);
	first = ask(&all, PG_THEN_SYNC);
	second = ask(&all, PG_THEN_SYNC); /* of the same preparation */
	wait_for_all();
	assert_int_equal(first->end, PG_OK);
	assert_int_equal(first->n, 1);
	assert_int_equal(first->agains, 1);
	assert_int_equal(second->end, PG_OK);
	assert_int_equal(second->agains, 1);
	must(&drop);
	assert_int_equal(losses, 0);
	close_conns();
}

static void a_commit_that_fails_is_no_success(void **state)
{
	const struct asked *a, *n;

	(void)state;
	open_conns(1, false, LIMIT_MS);
	must(&drop);
	must(&create);
	must(&add_1);
	a = ask(&add_1, PG_THEN_SYNC);
	must(&add_2);
	assert_int_equal(a->end, PG_BUG);
	n = ask(&count, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(n->n, 2);
	must(&drop);
	close_conns();
}

static void what_is_lost_with_the_connection_is_told_once(void **state)
{
	const struct asked *n;

	(void)state;
	open_conns(1, false, LIMIT_MS);
	must(&drop);
	must(&create);
	ask(&add_1, PG_THEN_SYNC);
	ask(&kill_self, PG_THEN_SYNC);
	ask(&add_2, PG_THEN_SYNC);
	ask(&add_3, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(asked[2].end, PG_OK);
	for (int i = 3; i < 6; i++)
		assert_int_equal(asked[i].end, PG_AWAY);
	assert_int_equal(asked[4].err, APP_OUTCOME_UNKNOWN);
	run_until(&ups, 2);
	for (int i = 2; i < 6; i++)
		assert_int_equal(asked[i].agains, 0);
	assert_int_equal(losses, 1);
	n = ask(&count, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(n->n, 1);
	must(&drop);
	close_conns();
}

static void a_read_that_is_lost_is_asked_once_more(void **state)
{
	(void)state;
	open_conns(1, true, LIMIT_MS);
	ask(&one, PG_THEN_SYNC);
	ask(&kill_self, PG_THEN_SYNC);
	ask(&two, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(asked[0].end, PG_OK);
	assert_int_equal(asked[0].agains, 0);
	assert_int_equal(asked[1].end, PG_AWAY);
	assert_int_equal(asked[2].end, PG_OK);
	assert_int_equal(asked[2].agains, 1);
	close_conns();
}

static void what_takes_too_long_is_not_done(void **state)
{
	(void)state;
	open_conns(1, false, 300);
	ask(&slow, PG_THEN_SYNC);
	ask(&two, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(asked[0].end, PG_AWAY);
	assert_int_equal(asked[0].err, APP_TOO_SLOW);
	assert_int_equal(asked[1].end, PG_OK);
	assert_int_equal(losses, 0);
	close_conns();
}

static void look(void *arg)
{
	struct loop_timer *timer = arg;

	(void)pg_conn_look(conns[0], clock_us());
	loop_after(loop, timer, 20, look, timer);
}

static void a_server_that_hangs_is_given_up(void **state)
{
	struct loop_timer timer = {.runs = false};

	(void)state;
	open_conns(1, true, 300);
	must(&no_limit);
	ask(&slow, PG_THEN_SYNC);
	look(&timer);
	wait_for_all();
	loop_cancel(loop, &timer);
	assert_int_equal(asked[1].end, PG_AWAY);
	assert_int_equal(asked[1].agains, 0);
	assert_int_equal(losses, 1);
	close_conns();
}

static void what_is_taken_back_is_not_told(void **state)
{
	struct asked *a;

	(void)state;
	open_conns(1, true, LIMIT_MS);
	ask(&one, PG_THEN_MORE);
	a = ask(&wrong, PG_THEN_MORE);
	ask(&two, PG_THEN_SYNC);
	pg_conn_take(conns[0], &a->job);
	answered(&(struct pg_answer){.end = PG_AWAY}, a);
	wait_for_all();
	assert_int_equal(asked[0].end, PG_OK);
	assert_int_equal(asked[2].end, PG_OK);
	close_conns();
}

static void what_waits_too_long_for_a_lock_is_not_done(void **state)
{
	const struct asked *a;

	(void)state;
	lock_ms = 100;
	open_conns(2, false, LIMIT_MS);
	lock_ms = 0;
	ask_on(conns[0], &lock_it, PG_THEN_SYNC);
	wait_for_all();
	a = ask_on(conns[1], &wait_for_it, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(a->end, PG_AWAY);
	assert_int_equal(a->err, APP_UNAVAILABLE);
	assert_int_equal(losses, 0);
	close_conns();
}

static void a_server_that_only_lets_read_is_left(void **state)
{
	const struct asked *a;

	(void)state;
	open_conns(1, false, LIMIT_MS);
	must(&drop);
	must(&create);
	must(&read_only);
	a = ask(&add_1, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(a->end, PG_AWAY);
	assert_int_equal(a->err, APP_UNAVAILABLE);
	run_until(&ups, 2);
	assert_int_equal(losses, 1);
	must(&add_1); /* by the next session */
	must(&drop);
	close_conns();
}

static void bells_are_heard_after_a_loss(void **state)
{
	(void)state;
	open_conns(1, false, LIMIT_MS);
	must(&bell);
	run_until(&notifies, 1);
	ask(&kill_self, PG_THEN_SYNC);
	wait_for_all();
	run_until(&ups, 2);
	must(&bell);
	run_until(&notifies, 2);
	close_conns();
}

static void a_server_looks_whether_we_are_there(void **state)
{
	const struct asked *a;

	(void)state;
	open_conns(1, true, LIMIT_MS);
	a = ask(&keepalives, PG_THEN_SYNC);
	wait_for_all();
	assert_int_equal(a->n, 5 + 5 + 3 + 20000);
	close_conns();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_go_together),
		cmocka_unit_test(one_that_fails_lets_the_others_be_asked_again),
		cmocka_unit_test(a_deadlock_is_tried_once_more),
		cmocka_unit_test(a_stale_plan_is_prepared_anew),
		cmocka_unit_test(a_commit_that_fails_is_no_success),
		cmocka_unit_test(what_is_lost_with_the_connection_is_told_once),
		cmocka_unit_test(a_read_that_is_lost_is_asked_once_more),
		cmocka_unit_test(what_takes_too_long_is_not_done),
		cmocka_unit_test(a_server_that_hangs_is_given_up),
		cmocka_unit_test(what_is_taken_back_is_not_told),
		cmocka_unit_test(what_waits_too_long_for_a_lock_is_not_done),
		cmocka_unit_test(a_server_that_only_lets_read_is_left),
		cmocka_unit_test(bells_are_heard_after_a_loss),
		cmocka_unit_test(a_server_looks_whether_we_are_there),
	};
	int err;

	if (!play_begin())
		return 2;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	play_end();
	return err;
}
