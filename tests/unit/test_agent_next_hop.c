/*
 * The next hop: what needs TLS gets it, whatever its URI says.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transaction/flow.h"
#include "transaction/next_hop.h"

static void assert_hop(const char *uri, const char *path, const char *host,
		       uint16_t port, const char *params)
{
	struct next_hop hop;

	assert_int_equal(next_hop_to_uri(&hop, uri, path), 0);
	assert_int_equal(pl_strcmp(&hop.route.scheme, "sip"), 0);
	assert_int_equal(pl_strcmp(&hop.route.host, host), 0);
	assert_int_equal(hop.route.port, port);
	assert_int_equal(pl_strcmp(&hop.route.params, params), 0);
}

static void what_needs_tls(void **state)
{
	(void)state;
	assert_true(next_hop_needs_tls("sips:a@192.0.2.1", NULL));
	assert_true(
		next_hop_needs_tls("SIPS:a@192.0.2.1", "udp:192.0.2.1:5060"));
	assert_true(next_hop_needs_tls("sip:a@192.0.2.1", "tls:00ab:1"));
	assert_false(next_hop_needs_tls("sip:a@192.0.2.1", "tcp:00ab:1"));
	assert_false(next_hop_needs_tls("sip:a@192.0.2.1", NULL));
}

static void the_contact_or_the_first_of_its_path(void **state)
{
	static const char contact[] = "sip:a@192.0.2.1:5070;transport=tcp";

	(void)state;
	assert_hop(contact, NULL, "192.0.2.1", 5070, ";transport=tcp");
	assert_hop(contact, "<sip:192.0.2.9;lr>, <sip:192.0.2.8;lr>",
		   "192.0.2.9", 0, ";lr");
	assert_hop("sip:a@localhost:5070", NULL, "127.0.0.1", 5070, "");
}

static void a_sips_uri_goes_over_tls(void **state)
{
	(void)state;
	assert_hop("sips:a@192.0.2.1", NULL, "192.0.2.1", 0, ";transport=tls");
	assert_hop("sips:a@192.0.2.1:5070;transport=udp", NULL, "192.0.2.1",
		   5070, ";transport=tls");
	assert_hop("sips:a@192.0.2.1", "<sip:192.0.2.9;lr>", "192.0.2.9", 0,
		   ";transport=tls");
	assert_hop("sip:a@192.0.2.1", "<sips:192.0.2.9;lr>", "192.0.2.9", 0,
		   ";transport=tls");
}

static bool is_host(const char *uri, const char *route, const char *host)
{
	struct pl pl;

	return !next_hop_host(&pl, uri, route) && !pl_strcmp(&pl, host);
}

static void whom_it_goes_to_is_as_it_is_written(void **state)
{
	(void)state;
	assert_true(is_host("sips:a@phone.example.net:5061", NULL,
			    "phone.example.net"));
	assert_true(
		is_host("sip:a@localhost;transport=tls", NULL, "localhost"));
	assert_true(
		is_host("sip:a@192.0.2.1;transport=tls", NULL, "192.0.2.1"));
	assert_true(is_host("sip:a@192.0.2.1", "<sips:proxy.example.net;lr>",
			    "proxy.example.net"));
	assert_false(is_host("no uri", NULL, ""));
}

static void what_is_no_uri_is_no_hop(void **state)
{
	struct next_hop hop;

	(void)state;
	assert_int_not_equal(next_hop_to_uri(&hop, "sip:", NULL), 0);
	assert_int_not_equal(next_hop_to_uri(&hop, "sip:a@b", "<nonsense"), 0);
}

static void on_lost(const char *flow, void *arg)
{
	(void)flow;
	(void)arg;
}

static void a_flow_leads_where_it_came_from(void **state)
{
	struct flow_table *ft;
	struct next_hop hop;

	(void)state;
	assert_int_equal(flow_table_alloc(&ft, "00ab", on_lost, NULL), 0);
	assert_int_equal(next_hop_over_flow(&hop, ft, "udp:192.0.2.7:5062"), 0);
	assert_int_equal(pl_strcmp(&hop.route.host, "192.0.2.7"), 0);
	assert_int_equal(hop.route.port, 5062);
	assert_int_equal(pl_strcmp(&hop.route.params, ";transport=udp"), 0);
	assert_int_equal(next_hop_over_flow(&hop, ft, "tcp:00ab:1"), ENOTCONN);
	assert_int_equal(next_hop_over_flow(&hop, ft, "tls:00cd:1"), ENOTCONN);
	mem_deref(ft);
}

static bool dials(const char *uri, enum sip_transp tp, const char *host)
{
	struct pl pl;
	struct sa src;

	pl_set_str(&pl, uri);
	assert_int_equal(sa_set_str(&src, host, 40000), 0);

	return next_hop_dials(&pl, tp, &src);
}

static void a_phone_that_listens_where_it_came_from(void **state)
{
	(void)state;
	assert_true(dials("sip:a@192.0.2.1;transport=tcp", SIP_TRANSP_TCP,
			  "192.0.2.1"));
	assert_true(dials("sip:192.0.2.1:5070;transport=TLS", SIP_TRANSP_TLS,
			  "192.0.2.1"));
	assert_true(dials("sips:a@[2001:db8::1]:5070;transport=tcp",
			  SIP_TRANSP_TLS, "2001:db8:0::1"));
	/* another host, another transport, in clear, the connection itself */
	assert_false(dials("sip:a@192.0.2.2;transport=tcp", SIP_TRANSP_TCP,
			   "192.0.2.1"));
	assert_false(dials("sip:a@phone.example.net;transport=tcp",
			   SIP_TRANSP_TCP, "192.0.2.1"));
	assert_false(dials("sip:a@192.0.2.1", SIP_TRANSP_TCP, "192.0.2.1"));
	assert_false(dials("sip:a@192.0.2.1;transport=tcp", SIP_TRANSP_TLS,
			   "192.0.2.1"));
	assert_false(dials("sips:a@192.0.2.1", SIP_TRANSP_TCP, "192.0.2.1"));
	assert_false(dials("sip:a@192.0.2.1;transport=tcp", SIP_TRANSP_UDP,
			   "192.0.2.1"));
	assert_false(dials("sip:a@192.0.2.1:40000;transport=tcp",
			   SIP_TRANSP_TCP, "192.0.2.1"));
	assert_false(dials("no uri", SIP_TRANSP_TCP, "192.0.2.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_needs_tls),
		cmocka_unit_test(the_contact_or_the_first_of_its_path),
		cmocka_unit_test(a_sips_uri_goes_over_tls),
		cmocka_unit_test(whom_it_goes_to_is_as_it_is_written),
		cmocka_unit_test(what_is_no_uri_is_no_hop),
		cmocka_unit_test(a_flow_leads_where_it_came_from),
		cmocka_unit_test(a_phone_that_listens_where_it_came_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
