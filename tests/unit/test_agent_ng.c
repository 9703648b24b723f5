/*
 * How media relays are asked: again with the same cookie, and nobody else is
 * heard.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "media/ng.h"

enum { TIMEOUT_MS = 20 * 1000 };

/* A relay that answers as a test says, and what was heard of it */
struct play {
	struct udp_sock *us, *other;
	struct ng *ng;
	struct tmr tmr;
	int asked, answer_from, answers, err;
	char cookie[64];
	bool lies; /* its cookie is another's */
};

static void say(struct udp_sock *us, const struct sa *to, const char *cookie,
		const char *dict)
{
	struct mbuf *mb = mbuf_alloc(256);

	assert_non_null(mb);
	assert_int_equal(mbuf_printf(mb, "%s %s", cookie, dict), 0);
	mb->pos = 0;
	assert_int_equal(udp_send(us, to, mb), 0);
	mem_deref(mb);
}

static void on_question(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct play *p = arg;
	struct pl all = {(const char *)mbuf_buf(mb), mbuf_get_left(mb)};
	struct pl cookie, command;
	char mine[64];

	assert_int_equal(re_regex(all.p, all.l, "[^ ]+ d7:command[0-9]+:[a-z]+",
				  &cookie, NULL, &command),
			 0);
	if (!strncmp(command.p, "ping", 4))
		return;
	(void)pl_strcpy(&cookie, mine, sizeof(mine));
	if (p->asked++)
		assert_string_equal(mine, p->cookie);
	(void)strcpy(p->cookie, mine);
	say(p->other, src, mine, "d6:result5:wronge"); /* of somebody else */
	if (p->asked < p->answer_from)
		return;
	if (p->lies)
		mine[0] = mine[0] == '0' ? '1' : '0';
	say(p->us, src, mine, "d6:result2:oke");
	say(p->us, src, mine, "d6:result2:oke");
}

static void too_late(void *arg)
{
	(void)arg;
	re_cancel();
}

static void on_answer(int err, const struct pl *dict, void *arg)
{
	struct play *p = arg;

	if (!err)
		assert_int_equal(pl_strcmp(dict, "d6:result2:oke"), 0);
	p->answers++;
	p->err = err;
	tmr_start(&p->tmr, 100, too_late, NULL);
}

static void begin(struct play *p)
{
	struct sa any, at;
	size_t relay;
	struct buf b;

	assert_int_equal(libre_init(), 0);
	assert_int_equal(sa_set_str(&any, "127.0.0.1", 0), 0);
	assert_int_equal(udp_listen(&p->us, &any, on_question, p), 0);
	assert_int_equal(udp_listen(&p->other, &any, NULL, NULL), 0);
	assert_int_equal(udp_local_get(p->us, &at), 0);
	assert_int_equal(ng_alloc(&p->ng, &at, 1), 0);
	assert_int_equal(ng_pick(p->ng, &relay), 0);
	buf_init(&b, 64);
	buf_str(&b, "d7:command5:offere");
	assert_int_equal(
		ng_ask(NULL, p->ng, relay, &b, NG_TRIES_MAX, on_answer, p), 0);
	buf_free(&b);
	tmr_start(&p->tmr, TIMEOUT_MS, too_late, NULL);
	(void)re_main(NULL);
	tmr_cancel(&p->tmr);
}

static void over(struct play *p)
{
	mem_deref(p->ng);
	mem_deref(p->us);
	mem_deref(p->other);
	libre_close();
}

static void test_repeated_until_answered(void **state)
{
	struct play p = {.answer_from = 2};
	size_t relay;

	(void)state;
	begin(&p);
	assert_int_equal(p.asked, 2);
	assert_int_equal(p.answers, 1); /* the second is of no question */
	assert_int_equal(p.err, 0);
	assert_int_equal(ng_pick(p.ng, &relay), 0);
	over(&p);
}

static void test_given_up(void **state)
{
	struct play p = {.answer_from = 1, .lies = true};
	size_t relay;

	(void)state;
	begin(&p);
	assert_int_equal(p.asked, NG_TRIES_MAX);
	assert_int_equal(p.answers, 1);
	assert_int_equal(p.err, ETIMEDOUT);
	assert_int_equal(ng_pick(p.ng, &relay), EHOSTUNREACH);
	over(&p);
}

static void test_who_fails_is_put_back(void **state)
{
	struct ng *n = NULL;
	struct sa sav[2];
	size_t first, other, at;

	(void)state;
	assert_int_equal(libre_init(), 0);
	assert_int_equal(sa_set_str(&sav[0], "127.0.0.1", 9), 0);
	assert_int_equal(sa_set_str(&sav[1], "127.0.0.1", 10), 0);
	assert_int_equal(ng_alloc(&n, sav, 2), 0);
	assert_int_equal(ng_pick(n, &first), 0);
	other = first;
	assert_int_equal(ng_other(n, &other), 0);
	assert_int_not_equal(first, other);
	ng_failed(n, first);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(ng_pick(n, &at), 0);
		assert_int_equal(at, other);
	}
	at = other;
	assert_int_equal(ng_other(n, &at), 0);
	assert_int_equal(at, first);
	ng_failed(n, other); /* better than none */
	assert_int_equal(ng_pick(n, &first), 0);
	assert_int_equal(ng_pick(n, &at), 0);
	assert_int_not_equal(first, at);
	mem_deref(n);
	assert_int_equal(ng_alloc(&n, sav, 1), 0);
	at = 0;
	assert_int_equal(ng_other(n, &at), EHOSTUNREACH);
	mem_deref(n);
	libre_close();
}

static void test_bounds(void **state)
{
	struct ng *n = NULL;
	struct ng_ask *a = NULL;
	struct sa sa;
	struct buf b;

	(void)state;
	assert_int_equal(libre_init(), 0);
	assert_int_equal(sa_set_str(&sa, "127.0.0.1", 9), 0);
	assert_int_equal(ng_alloc(&n, &sa, 1), 0);
	buf_init(&b, 2 * NG_BODY_MAX);
	buf_str(&b, "de");
	assert_int_equal(ng_end(n, 0, &b, "one"), 0);
	assert_int_equal(ng_end(n, 0, &b, "other"), 0);
	ng_begin(n, 0, "one");
	for (int i = 1; i < NG_ASKS_MAX; i++)
		assert_int_equal(ng_ask(&a, n, 0, &b, 1, NULL, NULL), 0);
	assert_int_equal(ng_end(n, 0, &b, "third"), EBUSY);
	assert_int_equal(ng_ask(NULL, n, 0, &b, 1, NULL, NULL), EBUSY);
	mem_deref(a);
	assert_int_equal(ng_ask(NULL, n, 0, &b, 1, NULL, NULL), 0);
	while (b.len <= NG_BODY_MAX)
		buf_str(&b, "0123456789");
	assert_int_equal(ng_ask(NULL, n, 0, &b, 1, NULL, NULL), EMSGSIZE);
	buf_free(&b);
	mem_deref(n);
	libre_close();
}

/* Nowhere but to relays, and not to all of their ports */
static bool may(const struct sa *sa, bool relay, void *arg)
{
	(void)arg;

	return relay && sa_port(sa) != 5060;
}

static void test_where_media_may_go(void **state)
{
	static const struct {
		const char *address;
		uint16_t port;
		bool before, may;
	} v[] = {
		{"192.0.2.1", 4000, false, true},
		{"192.0.2.1", 5060, false, false},
		{"192.0.2.1", 2223, false, false}, /* where it is asked */
		{"192.0.2.2", 4000, false, false},
		{"0.0.0.0", 9, true, true},
	};
	struct ng *n = NULL;
	struct sa sa;

	(void)state;
	assert_int_equal(libre_init(), 0);
	assert_int_equal(sa_set_str(&sa, "127.0.0.1", 2223), 0);
	assert_int_equal(ng_alloc(&n, &sa, 1), 0);
	ng_guard(n, may, NULL);
	for (int known = 0; known < 2; known++) {
		for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
			assert_int_equal(
				sa_set_str(&sa, v[i].address, v[i].port), 0);
			assert_int_equal(ng_may_aim(n, &sa),
					 known ? v[i].may : v[i].before);
		}
		assert_int_equal(sa_set_str(&sa, "192.0.2.1", 30000), 0);
		ng_learn(n, 0, &sa);
	}
	mem_deref(n);
	libre_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repeated_until_answered),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_who_fails_is_put_back),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_where_media_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
