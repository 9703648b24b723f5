/*
 * What is made of a sound request is what libre's own decoder makes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/decode.h"
#include "parse/hdr.h"
#include "parse/sanity.h"

#define HEAD \
	"REGISTER sip:example.net SIP/2.0\r\n" \
	"v: SIP/2.0/UDP 192.0.2.1 : 5062 ;rport;branch=z9hG4bK1, " \
	"SIP/2.0/TCP [2001:db8::1]:5063;branch=z9hG4bK2\r\n" \
	"Via: SIP / 2.0 / UDP proxy.example.net;branch=z9hG4bK3\r\n" \
	"f: \"A, B\" <sip:a@example.net;x=y>;tag=1;p=q\r\n" \
	"To: sip:a@example.net\r\n" \
	"Call-ID: x@y\r\n" \
	"CSeq: 4711\r\n REGISTER\r\n" \
	"Contact: <sip:a@192.0.2.1>;q=0.5,\r\n <sip:a@192.0.2.2>\r\n" \
	"Supported: path, outbound\r\n" \
	"X-Other: yes\r\n" \
	"Qefda: no\r\n" \
	"Content-Type: text/plain;charset=utf-8\r\n" \
	"Content-Length: 4\r\n\r\n"

static struct mbuf *buffer(const char *text)
{
	struct mbuf *mb = mbuf_alloc(strlen(text));

	assert_int_equal(mbuf_write_str(mb, text), 0);
	mbuf_set_pos(mb, 0);

	return mb;
}

static struct sip_msg *ours(const char *text)
{
	struct mbuf *mb = buffer(text);
	struct sip_msg *msg;
	struct sanity m;

	assert_int_equal(sanity_parse(&m, text, strlen(text)), SANITY_REQUEST);
	assert_int_equal(
		sanity_parse(&m, (char *)mbuf_buf(mb), mbuf_get_left(mb)),
		SANITY_REQUEST);
	assert_int_equal(decode_request(&msg, &m, mb), 0);
	mem_deref(mb);

	return msg;
}

static struct sip_msg *theirs(const char *text)
{
	struct mbuf *mb = buffer(text);
	struct sip_msg *msg;

	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);

	return msg;
}

static void same(const struct pl *a, const struct pl *b)
{
	assert_int_equal(a->l, b->l);
	if (a->l)
		assert_memory_equal(a->p, b->p, a->l);
}

static void a_request_is_read_as_libre_reads_it(void **state)
{
	struct sip_msg *a = ours(HEAD "body"), *b = theirs(HEAD "body");

	(void)state;
	assert_true(a->req);
	same(&a->met, &b->met);
	same(&a->ruri, &b->ruri);
	same(&a->uri.host, &b->uri.host);
	same(&a->callid, &b->callid);
	same(&a->from.tag, &b->from.tag);
	same(&a->to.tag, &b->to.tag);
	same(&a->cseq.met, &b->cseq.met);
	assert_int_equal(a->cseq.num, b->cseq.num);
	same(&a->via.branch, &b->via.branch);
	assert_true(sa_cmp(&a->via.addr, &b->via.addr, SA_ADDR));
	same(&a->ctyp.type, &b->ctyp.type);
	same(&a->ctyp.subtype, &b->ctyp.subtype);
	assert_int_equal(mbuf_get_left(a->mb), mbuf_get_left(b->mb));
	assert_int_equal(mbuf_get_left(a->mb), 4);
	assert_true(a->tag != 0);
	mem_deref(a);
	mem_deref(b);
}

static void sent_by_has_its_port(void **state)
{
	struct sip_msg *a = ours(HEAD "body");
	struct pl pl;

	(void)state;
	assert_int_equal(sa_port(&a->via.addr), 5062);
	assert_int_equal(msg_param_exists(&a->via.params, "rport", &pl), 0);
	mem_deref(a);
}

static void headers_are_found_as_in_libres(void **state)
{
	struct sip_msg *a = ours(HEAD "body"), *b = theirs(HEAD "body");

	(void)state;
	for (size_t h = 0; h < HDR_COUNT; h++) {
		const struct pl *x = hdr_get(a, (enum hdr)h);
		const struct pl *y = hdr_get(b, (enum hdr)h);

		assert_int_equal(hdr_count(a, (enum hdr)h),
				 hdr_count(b, (enum hdr)h));
		assert_true(!x == !y);
		if (x)
			same(x, y);
	}
	assert_int_equal(hdr_count(a, HDR_VIA), 3);
	assert_int_equal(hdr_count(a, HDR_AUTHORIZATION), 0);
	mem_deref(a);
	mem_deref(b);
}

static void two_requests_have_two_tags(void **state)
{
	struct sip_msg *a = ours(HEAD "body"), *b = ours(HEAD "body");

	(void)state;
	assert_true(a->tag != b->tag);
	mem_deref(a);
	mem_deref(b);
}

static void what_has_no_uri_is_refused(void **state)
{
	static const char text[] = "OPTIONS nonsense SIP/2.0\r\n"
				   "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
				   "From: <sip:a@b>;tag=1\r\n"
				   "To: <sip:a@b>\r\n"
				   "Call-ID: x@y\r\n"
				   "CSeq: 1 OPTIONS\r\n\r\n";
	struct mbuf *mb = buffer(text);
	struct sip_msg *msg;
	struct sanity m;

	(void)state;
	(void)sanity_parse(&m, (char *)mbuf_buf(mb), mbuf_get_left(mb));
	assert_int_not_equal(decode_request(&msg, &m, mb), 0);
	assert_int_equal(mb->pos, 0);
	assert_int_equal(mem_nrefs(mb), 1);
	mem_deref(mb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read_as_libre_reads_it),
		cmocka_unit_test(sent_by_has_its_port),
		cmocka_unit_test(headers_are_found_as_in_libres),
		cmocka_unit_test(two_requests_have_two_tags),
		cmocka_unit_test(what_has_no_uri_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
