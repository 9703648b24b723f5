/*
 * What dispatch lets through and what it refuses (RFC 4475).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/recheck.h"
#include "parse/hdr.h"

#define VIA "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:a@b>;tag=1\r\n"
#define TO "To: <sip:a@b>\r\n"
#define CALL_ID "Call-ID: x@y\r\n"
#define CSEQ "CSeq: 1 OPTIONS\r\n"
#define USUAL VIA FROM TO CALL_ID CSEQ
#define LINE "OPTIONS sip:b SIP/2.0\r\n"

static struct sip_msg *decode(const char *text, size_t len, const char *src)
{
	struct mbuf *mb = mbuf_alloc(len);
	struct sip_msg *msg = NULL;

	assert_int_equal(mbuf_write_mem(mb, (const uint8_t *)text, len), 0);
	mbuf_set_pos(mb, 0);
	if (sip_msg_decode(&msg, mb))
		fail_msg("libre does not decode: %s", text);
	assert_int_equal(sa_decode(&msg->src, src, strlen(src)), 0);
	msg->tp = SIP_TRANSP_TCP; /* datagrams have passed the gate */
	mem_deref(mb);

	return msg;
}

static int verdict_from(const char *text, const char *src)
{
	struct sip_msg *msg = decode(text, strlen(text), src);
	const char *why;
	const int scode = recheck_request(msg, &why);

	mem_deref(msg);

	return scode;
}

static int verdict(const char *text)
{
	return verdict_from(text, "192.0.2.1:5060");
}

static void a_good_request_passes(void **state)
{
	(void)state;
	assert_int_equal(verdict(LINE USUAL "\r\n"), RECHECK_OK);
	assert_int_equal(verdict(LINE USUAL "Max-Forwards: 0070\r\n"
					    "Expires: 4294967295\r\n"
					    "l: 0\r\n\r\n"),
			 RECHECK_OK);
	assert_int_equal(verdict(LINE "v: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
				      "f: a <sip:a@b>;tag=1\r\nt: sip:a@b\r\n"
				      "i: x\r\ncseq: 1\r\n  OPTIONS\r\n\r\n"),
			 RECHECK_OK);
}

static void a_name_with_the_hash_of_another_is_no_header(void **state)
{
	static const char text[] = LINE USUAL "Qefda: Digest x\r\n\r\n";
	struct sip_msg *msg = decode(text, sizeof(text) - 1, "192.0.2.1:5060");

	(void)state;
	assert_non_null(sip_msg_hdr(msg, SIP_HDR_AUTHORIZATION));
	assert_null(hdr_get(msg, HDR_AUTHORIZATION));
	mem_deref(msg);
	assert_int_equal(verdict(text), 400);
}

static void a_bad_request_is_refused_with_why(void **state)
{
	static const char text[] = LINE USUAL "Max-Forwards: 256\r\n\r\n";
	struct sip_msg *msg = decode(text, sizeof(text) - 1, "192.0.2.1:5060");
	const char *why;

	(void)state;
	assert_int_equal(recheck_request(msg, &why), 400);
	assert_string_equal(why, "Bad Max-Forwards");
	mem_deref(msg);
}

static void no_answer_goes_to_many(void **state)
{
	(void)state;
	assert_int_equal(verdict_from(LINE USUAL "\r\n", "224.0.1.75:5060"),
			 RECHECK_DROP);
	assert_int_equal(
		verdict_from(LINE USUAL "\r\n", "255.255.255.255:5060"),
		RECHECK_DROP);
	assert_int_equal(verdict_from(LINE USUAL "\r\n", "[ff02::1]:5060"),
			 RECHECK_DROP);
	assert_int_equal(verdict_from(LINE USUAL "\r\n", "0.0.0.0:5060"),
			 RECHECK_DROP);
	assert_int_equal(verdict_from(LINE USUAL "\r\n", "192.0.2.1:0"),
			 RECHECK_DROP);
}

static void maddr_leads_nowhere_else(void **state)
{
	static const char elsewhere[] = LINE
		"Via: SIP/2.0/UDP h;branch=z9hG4bK1;maddr=192.0.2.9\r\n" FROM TO
			CALL_ID CSEQ "\r\n";
	static const char same[] = LINE
		"Via: SIP/2.0/UDP h;branch=z9hG4bK1;maddr=192.0.2.1\r\n" FROM TO
			CALL_ID CSEQ "\r\n";

	(void)state;
	assert_int_equal(verdict(elsewhere), RECHECK_DROP);
	assert_int_equal(verdict(same), RECHECK_OK);
}

static void an_unknown_scheme_is_416(void **state)
{
	(void)state;
	assert_int_equal(
		verdict("OPTIONS nobodyKnowsThisScheme:x SIP/2.0\r\n" USUAL
			"\r\n"),
		416);
}

static void of_a_datagram_content_length_counts(void **state)
{
	static const char text[] = LINE USUAL "Content-Length: 3\r\n\r\nabcdef";
	struct sip_msg *msg = decode(text, sizeof(text) - 1, "192.0.2.1:5060");

	(void)state;
	assert_int_equal(hdr_body_len(msg), 3);
	mem_deref(msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_request_passes),
		cmocka_unit_test(a_name_with_the_hash_of_another_is_no_header),
		cmocka_unit_test(a_bad_request_is_refused_with_why),
		cmocka_unit_test(no_answer_goes_to_many),
		cmocka_unit_test(maddr_leads_nowhere_else),
		cmocka_unit_test(an_unknown_scheme_is_416),
		cmocka_unit_test(of_a_datagram_content_length_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
