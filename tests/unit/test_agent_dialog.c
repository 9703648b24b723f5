/*
 * Dialogs: from a message or a row to their values, and to a request within
 * them (RFC 3261 section 12).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libpq-fe.h>

#include <cmocka.h>

#include "common/buf.h"
#include "parse/route.h"
#include "pg/pgval.h"
#include "transaction/dialog.h"

#define VIA "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
#define FROM "From: \"Bob\" <sip:bob@b.example>;tag=bobs\r\n"
#define TO "To: <sip:alice@a.example>"
#define CALL_ID "Call-ID: x@y\r\n"
#define CONTACT "Contact: Bob <sip:bob@192.0.2.1:5062;ob>;expires=60\r\n"
#define ROUTES \
	"Record-Route: <sip:p2.example;lr>\r\n" \
	"Record-Route: <sip:p1.example;lr;x=1>\r\n"
#define INVITE(cseq, to, more) \
	"INVITE sip:alice@a.example SIP/2.0\r\n" VIA FROM TO to "\r\n" CALL_ID \
	"CSeq: " cseq " INVITE\r\n" more "\r\n"
#define RINGING(to, more) \
	"SIP/2.0 180 Ringing\r\n" VIA FROM TO to "\r\n" CALL_ID \
	"CSeq: 7 INVITE\r\n" more "\r\n"

static struct sip_msg *decode(const char *text)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sip_msg *msg;

	assert_non_null(mb);
	assert_int_equal(mbuf_write_str(mb, text), 0);
	mbuf_set_pos(mb, 0);
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);

	return msg;
}

#define assert_pl(pl, text) \
	do { \
		assert_int_equal((pl).l, strlen(text)); \
		assert_memory_equal((pl).p, text, (pl).l); \
	} while (0)

static struct pl pl_of(const char *text)
{
	struct pl pl;

	pl_set_str(&pl, text);

	return pl;
}

static struct dialog usual(void)
{
	return (struct dialog){
		.call_id = pl_of("x@y"),
		.local_tag = pl_of("ours"),
		.remote_tag = pl_of("theirs"),
		.local_uri = pl_of("sip:alice@a.example"),
		.remote_uri = pl_of("sip:bob@b.example"),
		.local_target = pl_of("sip:192.0.2.9:5060"),
		.remote_target = pl_of("sip:bob@192.0.2.1:5062;ob"),
		.local_cseq = 17,
		.remote_cseq = 5,
	};
}

/* --- from messages -------------------------------------------------------- */

static void a_request_makes_a_dialog_of_who_serves_it(void **state)
{
	struct sip_msg *msg = decode(INVITE("5", "", CONTACT ROUTES));
	struct dialog d;
	char *route;

	(void)state;
	assert_int_equal(dialog_of_request(&d, msg), 0);
	assert_pl(d.call_id, "x@y");
	assert_pl(d.remote_tag, "bobs");
	assert_false(pl_isset(&d.local_tag));
	assert_pl(d.local_uri, "sip:alice@a.example");
	assert_pl(d.remote_uri, "sip:bob@b.example");
	assert_pl(d.remote_target, "sip:bob@192.0.2.1:5062;ob");
	assert_int_equal(d.remote_cseq, 5);
	assert_int_equal(d.local_cseq, DIALOG_NO_CSEQ);

	assert_int_equal(dialog_route(&route, msg), 0);
	assert_string_equal(route,
			    "<sip:p2.example;lr>, <sip:p1.example;lr;x=1>");
	mem_deref(route);
	mem_deref(msg);
}

static void an_answer_makes_one_of_who_has_asked(void **state)
{
	struct sip_msg *msg = decode(RINGING(";tag=alices", CONTACT ROUTES));
	struct dialog d;
	char *route;

	(void)state;
	assert_int_equal(dialog_of_answer(&d, msg), 0);
	assert_pl(d.local_tag, "bobs");
	assert_pl(d.remote_tag, "alices");
	assert_pl(d.local_uri, "sip:bob@b.example");
	assert_pl(d.remote_uri, "sip:alice@a.example");
	assert_int_equal(d.local_cseq, 7);
	assert_int_equal(d.remote_cseq, DIALOG_NO_CSEQ);

	/* section 12.1.2: in reverse order */
	assert_int_equal(dialog_route(&route, msg), 0);
	assert_string_equal(route,
			    "<sip:p1.example;lr;x=1>, <sip:p2.example;lr>");
	mem_deref(route);
	mem_deref(msg);
}

static void assert_no_dialog(const char *answer)
{
	struct sip_msg *msg = decode(answer);
	struct dialog d;

	assert_int_equal(dialog_of_answer(&d, msg), EBADMSG);
	mem_deref(msg);
}

static void what_makes_no_dialog_is_told_apart(void **state)
{
	struct sip_msg *msg = decode(INVITE("5", "", "Contact: *\r\n"));
	struct dialog d;
	char *route;

	(void)state;
	assert_int_equal(dialog_of_request(&d, msg), EBADMSG);
	assert_int_equal(dialog_route(&route, msg), 0);
	assert_null(route);
	mem_deref(msg);
	assert_no_dialog(RINGING("", CONTACT));
	assert_no_dialog(RINGING(";tag=alices", ""));
}

static void a_request_within_it_is_known_by_call_id_and_tags(void **state)
{
	struct sip_msg *msg = decode(INVITE("5", ";tag=ours", ""));
	struct dialog d = usual();

	(void)state;
	d.remote_tag = pl_of("bobs");
	assert_true(dialog_has(&d, msg));
	d.remote_tag = pl_of("others");
	assert_false(dialog_has(&d, msg));
	d.remote_tag = pl_of("bobs");
	d.local_tag = pl_of("other");
	assert_false(dialog_has(&d, msg));
	d.local_tag = pl_of("ours");
	d.call_id = pl_of("X@y");
	assert_false(dialog_has(&d, msg));
	mem_deref(msg);
}

static void an_earlier_request_is_out_of_order(void **state)
{
	struct sip_msg *msg = decode(INVITE("5", ";tag=ours", ""));
	struct dialog d = usual();

	(void)state;
	assert_true(dialog_is_in_order(&d, msg));
	d.remote_cseq = 6;
	assert_false(dialog_is_in_order(&d, msg));
	d.remote_cseq = DIALOG_NO_CSEQ;
	assert_true(dialog_is_in_order(&d, msg));
	mem_deref(msg);
}

/* --- rows ----------------------------------------------------------------- */

static void a_row_has_the_values_of_its_dialog(void **state)
{
	static char names[][16] = {"call_id", "local_tag", "remote_target",
				   "route", "cseq"};
	static char values[][16] = {"x@y", "ours", "sip:bob@b", "", "18"};
	PGresAttDesc columns[5] = {{.name = NULL}};
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	const struct pg_answer ans = {.end = PG_OK, .res = (const void *)res};
	struct dialog d;

	(void)state;
	for (int i = 0; i < 5; i++)
		columns[i].name = names[i];
	assert_true(res && PQsetResultAttrs(res, 5, columns));
	for (int i = 0; i < 5; i++)
		assert_true(PQsetvalue(res, 0, i, values[i],
				       (int)strlen(values[i])));

	dialog_of_row(&d, &ans, 0);
	assert_pl(d.call_id, "x@y");
	assert_pl(d.local_tag, "ours");
	assert_pl(d.remote_target, "sip:bob@b");
	assert_false(pl_isset(&d.route));
	assert_false(pl_isset(&d.remote_tag));
	assert_int_equal(d.local_cseq, 18);
	assert_int_equal(d.remote_cseq, DIALOG_NO_CSEQ);
	PQclear(res);
}

static void the_database_is_told_what_is_known(void **state)
{
	struct dialog d = usual();
	struct buf b;

	(void)state;
	d.local_cseq = DIALOG_NO_CSEQ;
	d.remote_cseq = 0;
	d.local_uri = pl_null;
	buf_init(&b, 1024);
	buf_char(&b, '{');
	dialog_json(&b, &d);
	buf_char(&b, '}');
	assert_false(b.failed);
	assert_pl(((struct pl){b.p, b.len}),
		  "{\"call_id\":\"x@y\",\"local_tag\":\"ours\","
		  "\"remote_tag\":\"theirs\","
		  "\"remote_uri\":\"sip:bob@b.example\","
		  "\"local_target\":\"sip:192.0.2.9:5060\","
		  "\"remote_target\":\"sip:bob@192.0.2.1:5062;ob\","
		  "\"remote_cseq\":0}");
	buf_free(&b);
}

/* --- requests within it --------------------------------------------------- */

static void assert_way(const char *route, const char *uri, const char *routes)
{
	struct dialog d = usual();
	char *u, *r;

	if (route)
		d.route = pl_of(route);
	assert_int_equal(dialog_way(&u, &r, &d), 0);
	assert_string_equal(u, uri);
	if (routes)
		assert_string_equal(r, routes);
	else
		assert_null(r);
	mem_deref(u);
	mem_deref(r);
}

static void a_request_goes_by_the_route_set_to_the_target(void **state)
{
	(void)state;
	assert_way(NULL, "sip:bob@192.0.2.1:5062;ob", NULL);
	assert_way("<sip:p1;lr>, <sip:p2;lr>", "sip:bob@192.0.2.1:5062;ob",
		   "<sip:p1;lr>, <sip:p2;lr>");
}

/* Section 12.2.1.1: a router that knows no lr */
static void a_strict_router_gets_its_own_uri(void **state)
{
	(void)state;
	assert_way("<sip:p1;x=1>, <sip:p2;lr>", "sip:p1;x=1",
		   "<sip:p2;lr>, <sip:bob@192.0.2.1:5062;ob>");
	assert_way("<sip:p1>", "sip:p1", "<sip:bob@192.0.2.1:5062;ob>");
}

static void no_way_is_made_of_what_would_break_a_line(void **state)
{
	static const char *const targets[] = {"", "sip:bob@b>\r\nX: y",
					      "sip:bob@b x", "<sip:bob@b>"};
	struct dialog d = usual();
	char *u, *r;

	(void)state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		d.remote_target = pl_of(targets[i]);
		assert_int_equal(dialog_way(&u, &r, &d), EINVAL);
		assert_null(u);
		assert_null(r);
	}
	d = usual();
	d.route = pl_of("<sip:p1;lr>\r\nX: y");
	assert_int_equal(dialog_way(&u, &r, &d), EINVAL);
	d.route = pl_of(" ");
	assert_int_equal(dialog_way(&u, &r, &d), EINVAL);
	assert_null(u);
}

static void the_headers_of_a_request_within_it(void **state)
{
	const struct dialog d = usual();
	struct mbuf *mb = mbuf_alloc(512);

	(void)state;
	assert_non_null(mb);
	assert_int_equal(dialog_write(mb, &d, "BYE", "<sip:p1;lr>"), 0);
	assert_pl(((struct pl){(const char *)mb->buf, mb->end}),
		  "Max-Forwards: 70\r\n"
		  "Route: <sip:p1;lr>\r\n"
		  "To: <sip:bob@b.example>;tag=theirs\r\n"
		  "From: <sip:alice@a.example>;tag=ours\r\n"
		  "Call-ID: x@y\r\n"
		  "CSeq: 17 BYE\r\n"
		  "Contact: <sip:192.0.2.9:5060>\r\n");
	mem_deref(mb);
}

static void nothing_of_it_may_end_its_line(void **state)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct dialog d = usual();
	struct pl *const parts[] = {&d.call_id,	   &d.local_tag,
				    &d.remote_tag, &d.local_uri,
				    &d.remote_uri, &d.local_target};

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		const struct pl was = *parts[i];

		*parts[i] = pl_of("a\r\nX: y");
		assert_int_equal(dialog_write(mb, &d, "BYE", NULL), EINVAL);
		assert_int_equal(mb->end, 0);
		*parts[i] = was;
	}
	mem_deref(mb);
}

static void a_route_turns_round(void **state)
{
	char *route;

	(void)state;
	assert_int_equal(route_reverse(&route, "<sip:a;lr>"), 0);
	assert_string_equal(route, "<sip:a;lr>");
	mem_deref(route);
	assert_int_equal(route_reverse(&route, "<sip:a>;x, <sip:b>, <sip:c>"),
			 0);
	assert_string_equal(route, "<sip:c>, <sip:b>, <sip:a>;x");
	mem_deref(route);
	assert_int_equal(route_reverse(&route, ""), EBADMSG);
	assert_int_equal(route_reverse(&route, "<sip:a>, <"), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_makes_a_dialog_of_who_serves_it),
		cmocka_unit_test(an_answer_makes_one_of_who_has_asked),
		cmocka_unit_test(what_makes_no_dialog_is_told_apart),
		cmocka_unit_test(
			a_request_within_it_is_known_by_call_id_and_tags),
		cmocka_unit_test(an_earlier_request_is_out_of_order),
		cmocka_unit_test(a_row_has_the_values_of_its_dialog),
		cmocka_unit_test(the_database_is_told_what_is_known),
		cmocka_unit_test(a_request_goes_by_the_route_set_to_the_target),
		cmocka_unit_test(a_strict_router_gets_its_own_uri),
		cmocka_unit_test(no_way_is_made_of_what_would_break_a_line),
		cmocka_unit_test(the_headers_of_a_request_within_it),
		cmocka_unit_test(nothing_of_it_may_end_its_line),
		cmocka_unit_test(a_route_turns_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
