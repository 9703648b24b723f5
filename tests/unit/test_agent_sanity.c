/*
 * What the first look at a message says of it (RFC 3261, RFC 4475).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/refusal.h"
#include "parse/sanity.h"

#define LINE "OPTIONS sip:b SIP/2.0\r\n"
#define VIA "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:a@b>;tag=1\r\n"
#define TO "To: <sip:a@b>\r\n"
#define CALL_ID "Call-ID: x@y\r\n"
#define CSEQ "CSeq: 1 OPTIONS\r\n"
#define USUAL VIA FROM TO CALL_ID CSEQ

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct sanity look(const char *text)
{
	struct sanity m;

	(void)sanity_parse(&m, text, strlen(text));

	return m;
}

static int code(const char *text)
{
	const struct sanity m = look(text);

	assert_int_equal(m.kind, SANITY_REQUEST);

	return m.scode;
}

/* A request with one line more, or with one line in the place of another */
static int code_with(const char *usual, const char *line)
{
	char text[2048];

	assert_true(re_snprintf(text, sizeof(text), "%s%s%s\r\n", LINE, usual,
				line) > 0);

	return code(text);
}

static void sound_requests_pass(void **state)
{
	(void)state;
	assert_int_equal(code(LINE USUAL "\r\n"), 0);
	assert_int_equal(code_with(USUAL, "Max-Forwards: 0070\r\n"
					  "Expires: 4294967295\r\nl: 0\r\n"),
			 0);
	assert_int_equal(
		code(LINE "v: SIP / 2.0 / UDP h ; branch = z9 , SIP/2.0/TCP "
			  "[::1]:1\r\nf: a <sip:a@b>;tag=1\r\nt : sip:a@b\r\n"
			  "i: x\r\ncseq: 1\r\n  OPTIONS\r\n\r\n"),
		0);
	assert_int_equal(
		code_with(FROM TO CALL_ID CSEQ, "Via: SIP/2.0/UDP h\r\n"), 0);
	assert_int_equal(code_with(VIA FROM CALL_ID CSEQ,
				   "To: \"a \\\x07 > , \\\" \" <sip:a@b>\r\n"),
			 0);
	assert_int_equal(code_with(USUAL, "Contact: *\r\n"), 0);
	assert_int_equal(code_with(USUAL, "Unknown: ;;,,;;,;\r\n"), 0);
}

static void what_is_missing_is_400(void **state)
{
	static const char *const without[] = {
		FROM TO CALL_ID CSEQ,  VIA TO CALL_ID CSEQ,
		VIA FROM CALL_ID CSEQ, VIA FROM TO CSEQ,
		VIA FROM TO CALL_ID,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(without); i++)
		assert_int_equal(code_with(without[i], ""), 400);
}

static void what_stands_twice_is_400(void **state)
{
	static const char *const twice[] = {
		FROM,
		TO,
		CALL_ID,
		CSEQ,
		"f: <sip:c@d>;tag=2\r\n",
		"i: other\r\n",
		"Max-Forwards: 1\r\nMax-Forwards: 2\r\n",
		"Content-Length: 0\r\nl: 0\r\n",
		"Expires: 1\r\nExpires: 1\r\n",
		"Event: a\r\no: b\r\n",
		"Subject: a\r\ns: b\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(twice); i++)
		assert_int_equal(code_with(USUAL, twice[i]), 400);
}

/* What is not in the grammar, and says the same to everybody */
static void usual_mistakes_are_taken(void **state)
{
	static const char *const usual[] = {
		"Contact: <sip:a@b>;;;\r\n",
		"Contact: <sip:a@b>;q=;expires=\r\n",
		"Contact: B\xc3\xb6"
		"b (x) <sip:a@b>\r\n",
		"Contact: <sip:a@[2001:db8::1]:5060;x>\r\n",
		"Contact: <sip:a@[2001:db8:::192.0.2.1]>\r\n",
		"Contact: <sip:a@h_1>\r\n",
		"Via: SIP/2.0/UDP h;;\r\n",
		"Via: SIP/2.0/UDP h;rport=;received=\r\n",
		"Via: SIP/2.0/UDP h;branch=z9hG4bKa/b==\r\n",
		"Reply-To: <sip:a@b>;tag=a/b==;\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(usual); i++)
		assert_int_equal(code_with(USUAL, usual[i]), 0);
}

static void bad_values_are_400(void **state)
{
	static const char *const bad[] = {
		"Max-Forwards: 256\r\n",
		"Max-Forwards: -1\r\n",
		"Content-Length: -999\r\n",
		"Content-Length: 1\r\n",
		"Content-Length: 4294967296\r\n",
		"Expires: 4294967296\r\n",
		"Expires: soon\r\n",
		"Contact: sip:a@b?x=y\r\n",
		"Contact: <sip:a@b>, *\r\n",
		"Contact: \r\n",
		"Content-Type: text\r\n",
		"Content-Type: text/plain,text/html\r\n",
		"Route: *\r\n",
		"Via: SIP/2.0/UDP h;=\r\n",
		"Via: SIP/2.0/UDP 2001:db8::1\r\n",
		"Contact: <sip:a@2001:db8::1>\r\n",
		"Contact: sip:2001:db8::1;q=1\r\n",
		"Contact: <sip:a@[2001:db8::1>\r\n",
		"Contact: <sip:a@[2001:db8:::1]>\r\n",
		"Contact: <sip:a@[2001:db8::1]x>\r\n",
		"Route: <sip:2001:db8::1;lr>\r\n",
		"Via: SIP/2.0/UDP h:0\r\n",
		"Via: SIP/2.0/UDP h:65536\r\n",
		"Via: SIP/2.0/UDP h,\r\n",
		"Via: SIP/2.0/UDP h;branch=1;branch=2\r\n",
		"Via: SIP/2.0/UDP h;x=\"unended\r\n",
		"Via: SIP/3.0/UDP h\r\n",
		"no colon\r\n",
		": no name\r\n",
		"bad name: x\r\n",
		"Qefda: Digest x\r\n", /* libre reads Authorization */
		"Subject: a\x01z\r\n",
		"Subject: a\nInjected: b\r\n",
		"Subject: a\rInjected: b\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(code_with(USUAL, bad[i]), 400);
}

static void bad_cseqs_and_addresses_are_400(void **state)
{
	static const char *const cseqs[] = {
		"CSeq: 2147483648 OPTIONS\r\n",
		"CSeq: 36893488147419103232 OPTIONS\r\n",
		"CSeq: 1 INVITE\r\n",
		"CSeq: 1 OPTIONSX\r\n",
		"CSeq: 1OPTIONS\r\n",
		"CSeq: OPTIONS\r\n",
		"CSeq: 1\r\n",
	};
	static const char *const tos[] = {
		"To: \r\n",
		"To: \"a <sip:a@b>\r\n",
		"To: <sip:a@b\r\n",
		"To: < sip:a@b >\r\n",
		"To: a, b <sip:a@b>\r\n",
		"To: <sip:a@b>, <sip:c@d>\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cseqs); i++)
		assert_int_equal(code_with(VIA FROM TO CALL_ID, cseqs[i]), 400);
	for (size_t i = 0; i < COUNT(tos); i++)
		assert_int_equal(code_with(VIA FROM CALL_ID CSEQ, tos[i]), 400);
}

static void first_lines_are_strict(void **state)
{
	static const struct {
		const char *line;
		int scode;
	} lines[] = {
		{"OPTIONS sip:b SIP/7.0", 505},
		{"OPTIONS sip:b sip/2.0", 505},
		{"OPTIONS sip:b  SIP/2.0", 400},
		{"OPTIONS  sip:b SIP/2.0", 400},
		{"OPTIONS sip:b SIP/2.0 ", 400},
		{"OPTIONS sip:b; lr SIP/2.0", 400},
		{"OPTIONS <sip:b> SIP/2.0", 400},
		{"OPTIONS sip:b?Route=c SIP/2.0", 400},
		{"OPTIONS b SIP/2.0", 400},
		{"OPTIONS SIP/2.0", 400},
		{"OPTIONS tel:1 SIP/2.0", 416},
		{"OPTIONS soap.beep://192.0.2.1 SIP/2.0", 416},
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		(void)re_snprintf(text, sizeof(text), "%s\r\n%s\r\n",
				  lines[i].line, USUAL);
		assert_int_equal(code(text), lines[i].scode);
	}
}

static void what_is_no_sip_is_junk(void **state)
{
	static const char *const junk[] = {
		"hello",
		"GET / HTTP/1.1\r\n\r\n",
		"OPT(IONS sip:a SIP/2.0\r\n\r\n",
		"\xff\xfe\xfd\xfc\xfb",
		"OPTIONS sip:a SIP/2.0\nTo: a\n\n",
		" OPTIONS sip:a SIP/2.0\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(junk); i++)
		assert_int_equal(look(junk[i]).kind, SANITY_JUNK);
	assert_int_equal(look("").kind, SANITY_KEEPALIVE);
	assert_int_equal(look("\r\n\r\n").kind, SANITY_KEEPALIVE);
}

static void a_head_without_end_is_400(void **state)
{
	(void)state;
	assert_int_equal(code(LINE USUAL), 400);
	assert_int_equal(code(LINE USUAL "Max-Forwards: 70"), 400);
}

static void responses_are_known(void **state)
{
	const struct sanity good = look("SIP/2.0 200 \r\n" USUAL "\r\n");
	const struct sanity big = look("SIP/2.0 4294967301 x\r\n" USUAL "\r\n");
	const struct sanity cut = look("SIP/2.0 200 OK\r\n\r\n");

	(void)state;
	assert_int_equal(good.kind, SANITY_RESPONSE);
	assert_int_equal(good.scode, 0);
	assert_int_equal(big.kind, SANITY_RESPONSE);
	assert_int_not_equal(big.scode, 0);
	assert_int_equal(cut.kind, SANITY_RESPONSE);
	assert_int_not_equal(cut.scode, 0);
}

static void only_the_body_that_was_announced_counts(void **state)
{
	const struct sanity m = look(LINE USUAL "l: 3\r\n\r\nabcdef");
	const struct sanity all = look(LINE USUAL "\r\nabcdef");

	(void)state;
	assert_int_equal(m.scode, 0);
	assert_int_equal(m.body_len, 3);
	assert_int_equal(all.body_len, 6);
	assert_false(all.has_length);
}

static void the_first_fault_is_told_and_the_rest_is_read(void **state)
{
	const struct sanity m = look(
		LINE "Bad Line\r\nMax-Forwards: x\r\n" USUAL "\r\n");

	(void)state;
	assert_int_equal(m.scode, 400);
	assert_string_equal(m.why, "Bad Header");
	assert_int_equal(m.via.port, 5062);
	assert_int_equal(pl_strcmp(&m.call_id, "x@y"), 0);
}

static void a_branch_is_made_for_a_request_without(void **state)
{
	char one[SANITY_BRANCH_SIZE], two[SANITY_BRANCH_SIZE],
		ack[SANITY_BRANCH_SIZE];
	struct sanity m;

	(void)state;
	m = look(
		"INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n" FROM TO CALL_ID
		"CSeq: 1 INVITE\r\n\r\n");
	assert_int_equal(sanity_branch(one, sizeof(one), &m), 0);
	m = look(
		"INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n" FROM TO CALL_ID
		"CSeq: 2 INVITE\r\n\r\n");
	assert_int_equal(sanity_branch(two, sizeof(two), &m), 0);
	m = look("ACK sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n" FROM
		 "To: <sip:a@b>;tag=2\r\n" CALL_ID "CSeq: 1 ACK\r\n\r\n");
	assert_int_equal(sanity_branch(ack, sizeof(ack), &m), 0);

	assert_string_not_equal(one, two);
	assert_string_equal(one, ack);
	assert_memory_equal(one, SANITY_MARK, strlen(SANITY_MARK));
	assert_int_equal(strlen(one), strlen(SANITY_MARK) + SANITY_MARKED_LEN);
}

static void answer(char *out, size_t size, const char *text)
{
	struct sanity m = look(text);
	struct mbuf *mb = NULL;
	struct sa src;

	assert_int_equal(sa_set_str(&src, "192.0.2.7", 4000), 0);
	assert_int_not_equal(m.scode, 0);
	assert_int_equal(refusal_encode(&mb, &m, text, &src), 0);
	assert_true(mbuf_get_left(mb) < size);
	memcpy(out, mbuf_buf(mb), mbuf_get_left(mb));
	out[mbuf_get_left(mb)] = '\0';
	mem_deref(mb);
}

static void an_answer_repeats_what_it_must(void **state)
{
	char out[2048];

	(void)state;
	answer(out, sizeof(out),
	       LINE "v: SIP/2.0/UDP h;rport;branch=z9hG4bK1, SIP/2.0/UDP g\r\n"
		    "Via: SIP/2.0/TCP\r\n e\r\n" FROM
		    "To: <sip:a@b>\r\n ;x=y\r\nSubject: no\r\n" CALL_ID CSEQ
		    "CSeq: 2 OPTIONS\r\n\r\n");
	assert_memory_equal(out, "SIP/2.0 400 Duplicate Header\r\n", 30);
	assert_non_null(strstr(out, "\r\nv: SIP/2.0/UDP h;rport=4000;branch="
				    "z9hG4bK1;received=192.0.2.7, SIP/2.0/UDP "
				    "g\r\nVia: SIP/2.0/TCP e\r\n"));
	assert_non_null(strstr(out, "\r\nTo: <sip:a@b> ;x=y;tag="));
	assert_non_null(strstr(out, "\r\nCSeq: 1 OPTIONS\r\n"));
	assert_null(strstr(out, "CSeq: 2"));
	assert_null(strstr(out, "Subject"));
	assert_non_null(strstr(out, "\r\nContent-Length: 0\r\n\r\n"));
}

static void an_answer_goes_where_via_says_at_the_source(void **state)
{
	struct sanity m = look(LINE USUAL "\r\n");
	struct sa src, dst;

	(void)state;
	assert_int_equal(sa_set_str(&src, "192.0.2.7", 4000), 0);
	refusal_dst(&dst, &m, &src);
	assert_true(sa_cmp(&dst, &src, SA_ADDR));
	assert_int_equal(sa_port(&dst), 5062);

	m = look(LINE "Via: SIP/2.0/UDP h;rport=1\r\n\r\n");
	refusal_dst(&dst, &m, &src);
	assert_int_equal(sa_port(&dst), 4000);

	m = look(LINE "Via: SIP/2.0/UDP h\r\n\r\n");
	refusal_dst(&dst, &m, &src);
	assert_int_equal(sa_port(&dst), 5060);
}

static void without_a_via_there_is_no_answer(void **state)
{
	const struct sanity m = look(LINE FROM TO CALL_ID CSEQ "\r\n");
	struct mbuf *mb = NULL;
	struct sa src;

	(void)state;
	assert_int_equal(sa_set_str(&src, "192.0.2.7", 4000), 0);
	assert_int_not_equal(refusal_encode(&mb, &m, LINE, &src), 0);
	assert_null(mb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_requests_pass),
		cmocka_unit_test(what_is_missing_is_400),
		cmocka_unit_test(what_stands_twice_is_400),
		cmocka_unit_test(usual_mistakes_are_taken),
		cmocka_unit_test(bad_values_are_400),
		cmocka_unit_test(bad_cseqs_and_addresses_are_400),
		cmocka_unit_test(first_lines_are_strict),
		cmocka_unit_test(what_is_no_sip_is_junk),
		cmocka_unit_test(a_head_without_end_is_400),
		cmocka_unit_test(responses_are_known),
		cmocka_unit_test(only_the_body_that_was_announced_counts),
		cmocka_unit_test(the_first_fault_is_told_and_the_rest_is_read),
		cmocka_unit_test(a_branch_is_made_for_a_request_without),
		cmocka_unit_test(an_answer_repeats_what_it_must),
		cmocka_unit_test(an_answer_goes_where_via_says_at_the_source),
		cmocka_unit_test(without_a_via_there_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
