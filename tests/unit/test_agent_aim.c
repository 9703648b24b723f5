/*
 * Where a relay may be told to send media to.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "media/aim.h"

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
#define AT "c=IN IP4 192.0.2.1\r\nt=0 0\r\n"
#define AUDIO "m=audio 4000 RTP/AVP 0\r\n"

enum { CONTROL = 2223 };

/* All but one network, and one port */
static bool may(const struct sa *sa, void *arg)
{
	(void)arg;

	return (sa_af(sa) != AF_INET || sa_in(sa) >> 24 != 127) &&
	       sa_port(sa) != CONTROL;
}

static int check(const char *sdp, const char *heard)
{
	struct pl pl;
	struct buf b;
	int err;

	pl_set_str(&pl, sdp);
	buf_init(&b, AIM_SDP_MAX);
	err = aim_check(&b, &pl, may, NULL);
	if (!err)
		assert_string_equal(b.p, heard ? heard : sdp);
	buf_free(&b);

	return err;
}

static void test_what_is_let_through(void **state)
{
	static const char *const sdpv[] = {
		HEAD AT AUDIO,
		HEAD "t=0 0\r\n" AUDIO "c=IN IP6 2001:db8::1\r\n",
		HEAD "c=IN IP4 0.0.0.0\nt=0 0\nm=audio 9 RTP/AVP 0\n",
		HEAD AT AUDIO "a=rtcp:4001\r\nm=video 0 RTP/AVP 31",
		HEAD AT AUDIO "a=rtcp:9 IN IP4 0.0.0.0\r\n",
		HEAD AT "m=audio 65535 RTP/AVP 0\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sdpv) / sizeof(*sdpv); i++)
		assert_int_equal(check(sdpv[i], NULL), 0);
}

static void test_where_nothing_may_be_sent(void **state)
{
	static const char *const sdpv[] = {
		HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\n" AUDIO,
		HEAD AT AUDIO "c=IN IP4 127.0.0.1\r\n",
		HEAD AT AUDIO AUDIO "c=IN IP4 127.0.0.1\n" AUDIO,
		HEAD AT AUDIO "a=rtcp:4001 IN IP4 127.0.0.1\r\n",
		HEAD AT AUDIO "a=rtcp:2223\r\n",
		HEAD "c=IN IP4 127.0.0.1\r\nt=0 0\r\n" AUDIO
		     "c=IN IP4 192.0.2.1\r\n",
		HEAD AT "m=audio 2223 RTP/AVP 0\r\n",
		HEAD AT "m=audio 2222 RTP/AVP 0\r\n",
		HEAD AT "m=audio 02223 RTP/AVP 0\r\n" AUDIO,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sdpv) / sizeof(*sdpv); i++)
		assert_int_equal(check(sdpv[i], NULL), EACCES);
}

static void test_what_may_be_read_otherwise(void **state)
{
	static const char *const sdpv[] = {
		HEAD "t=0 0\r\n" AUDIO,
		HEAD "c=IN IP4 localhost\r\nt=0 0\r\n" AUDIO,
		HEAD "c=IN IP6 127.0.0.1\r\nt=0 0\r\n" AUDIO,
		HEAD "c=IN IP4 192.0.2.1/127\r\nt=0 0\r\n" AUDIO,
		HEAD "c=IN  IP4 192.0.2.1\r\nt=0 0\r\n" AUDIO,
		HEAD AT AUDIO "c=IN IP4 192.0.2.2\r\nc=IN IP4 192.0.2.3\r\n",
		HEAD AT "m=audio 4000/2 RTP/AVP 0\r\n",
		HEAD AT "m=audio  4000 RTP/AVP 0\r\n",
		HEAD AT "m=audio 4000x RTP/AVP 0\r\n",
		HEAD AT "m=audio 67759 RTP/AVP 0\r\n",
		HEAD AT "m=audio\r\n",
		HEAD AT AUDIO "a=rtcp: 2223\r\n",
		HEAD AT AUDIO "a=rtcp:4001\r\na=rtcp:2223\r\n",
		HEAD AT AUDIO "a=rtcp:4001 IN IP4 localhost\r\n",
		HEAD AT "a=rtcp:4001\r\n" AUDIO,
		HEAD AT AUDIO HEAD AT AUDIO,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sdpv) / sizeof(*sdpv); i++)
		assert_int_equal(check(sdpv[i], NULL), EPROTO);
}

/* The relay reads up to a blank line, and takes one that begins with CR for
   one */
static void test_what_is_behind_a_blank_line(void **state)
{
	(void)state;
	assert_int_equal(check(HEAD AT AUDIO "\r\n", HEAD AT AUDIO), 0);
	assert_int_equal(check(HEAD AT AUDIO "\n" AUDIO "c=IN IP4 127.0.0.1\n",
			       HEAD AT AUDIO),
			 0);
	assert_int_equal(check(HEAD "t=0 0\r\n" AUDIO "\r\n" AT, NULL), EPROTO);
	assert_int_equal(check(HEAD "t=0 0\r\n" AUDIO "\rx\r\n" AT, NULL),
			 EPROTO);
}

/* RTCP to nowhere: the relay has it go where its stream does */
static bool not_rtcp(const struct sa *sa, void *arg)
{
	(void)arg;

	return sa_is_any(sa) || sa_port(sa) != 5060;
}

static void test_rtcp_to_nowhere(void **state)
{
	struct pl pl;
	struct buf b;

	(void)state;
	pl_set_str(&pl, HEAD AT AUDIO "a=rtcp:5060 IN IP4 0.0.0.0\r\n");
	buf_init(&b, AIM_SDP_MAX);
	assert_int_equal(aim_check(&b, &pl, not_rtcp, NULL), EACCES);
	buf_free(&b);
}

#define TRY "a=candidate:1 1 udp 2122260223 "

static void test_candidates_are_left_out(void **state)
{
	(void)state;
	assert_int_equal(check(HEAD AT AUDIO TRY
			       "127.0.0.1 41 typ host\r\n" TRY
			       "192.0.2.1 2223 typ host\r\n" TRY
			       "0.0.0.0 41 typ host\r\n" TRY
			       "1-2.local 41 typ host\r\n" TRY
			       " 192.0.2.1 41 typ host\r\n"
			       "a=candidate:\r\n"
			       "a=remote-candidates:1 127.0.0.1 5\r\n" TRY
			       "192.0.2.1 41 typ host\r\n"
			       "a=mid:0\r\n",
			       HEAD AT AUDIO TRY "192.0.2.1 41 typ host\r\n"
						 "a=mid:0\r\n"),
			 0);
}

static void test_bounds(void **state)
{
	char sdp[AIM_SDP_MAX + 2] = HEAD AT;

	(void)state;
	for (int i = 0; i < AIM_STREAMS_MAX; i++)
		(void)strcat(sdp, AUDIO);
	assert_int_equal(check(sdp, NULL), 0);
	(void)strcat(sdp, AUDIO);
	assert_int_equal(check(sdp, NULL), E2BIG);
	(void)strcpy(sdp, HEAD AT AUDIO "a=");
	memset(sdp + strlen(sdp), 'x', AIM_SDP_MAX - strlen(sdp));
	assert_int_equal(check(sdp, NULL), 0);
	sdp[AIM_SDP_MAX] = 'x';
	assert_int_equal(check(sdp, NULL), EMSGSIZE);
}

static void test_the_first(void **state)
{
	struct sa sa, like;
	struct pl sdp;

	(void)state;
	assert_int_equal(sa_set_str(&like, "192.0.2.1", 0), 0);
	pl_set_str(&sdp, HEAD AT AUDIO "c=IN IP4 192.0.2.2\r\n");
	assert_true(aim_first(&sa, &sdp) && sa_cmp(&sa, &like, SA_ADDR));
	pl_set_str(&sdp, "\nc=IN IP4 192.0.2.1");
	assert_true(aim_first(&sa, &sdp) && sa_cmp(&sa, &like, SA_ADDR));
	pl_set_str(&sdp, HEAD AUDIO "c=");
	assert_false(aim_first(&sa, &sdp));
	pl_set_str(&sdp, "");
	assert_false(aim_first(&sa, &sdp));
}

static void test_ports(void **state)
{
	static const char sdp[] = HEAD AT "m=audio 4000 RTP/AVP 0\r\n"
					  "m=video 0 RTP/AVP 31\nm=audio\n"
					  "m=audio 65535 RTP/AVP 0\r\n";
	uint16_t portv[AIM_STREAMS_MAX];
	struct pl pl;

	(void)state;
	pl_set_str(&pl, sdp);
	aim_ports(portv, &pl);
	assert_int_equal(portv[0], 4000);
	assert_int_equal(portv[1], 0);
	assert_int_equal(portv[2], 0);
	assert_int_equal(portv[3], 65535);
	pl_set_str(&pl, HEAD AT
		   "m=audio 70000 RTP/AVP 0\r\n" AUDIO AUDIO AUDIO AUDIO AUDIO);
	aim_ports(portv, &pl);
	assert_int_equal(portv[0], 0);
	assert_int_equal(portv[3], 4000);
	pl_set_str(&pl, "");
	aim_ports(portv, &pl);
	assert_int_equal(portv[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_let_through),
		cmocka_unit_test(test_where_nothing_may_be_sent),
		cmocka_unit_test(test_what_may_be_read_otherwise),
		cmocka_unit_test(test_candidates_are_left_out),
		cmocka_unit_test(test_what_is_behind_a_blank_line),
		cmocka_unit_test(test_rtcp_to_nowhere),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_the_first),
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
