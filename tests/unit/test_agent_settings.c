/*
 * What follows from the settings: who is hosted here, what may be bound, and
 * where may be sent to; and the addresses of record in URIs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/sipuri.h"
#include "parse/uri.h"
#include "settings/ours.h"
#include "settings/reach.h"
#include "settings/settings.h"

static struct settings *load_of(const char *domains, const char *listen,
				const char *send_allow)
{
	struct settings *s = NULL;

	(void)setenv("RESTSIP_HTTP_DOMAINS", domains, 1);
	(void)setenv("RESTSIP_AGENT_LISTEN", listen, 1);
	if (send_allow)
		(void)setenv("RESTSIP_AGENT_SEND_ALLOW", send_allow, 1);
	else
		(void)unsetenv("RESTSIP_AGENT_SEND_ALLOW");
	if (settings_alloc(&s, NULL))
		return NULL;

	return s;
}

static struct settings *load(const char *listen, const char *send_allow)
{
	return load_of("example.net, Example.COM", listen, send_allow);
}

static bool may_send(const struct settings *s, const char *addr)
{
	struct sa sa;

	assert_int_equal(sa_decode(&sa, addr, strlen(addr)), 0);

	return settings_may_send(s, &sa, false);
}

/* As an AAAA record of DNS may say it */
static bool may_send_mapped(const struct settings *s, const char *addr)
{
	uint8_t in6[16] = {[10] = 0xff, [11] = 0xff};
	struct sa v4, sa;

	assert_int_equal(sa_decode(&v4, addr, strlen(addr)), 0);
	for (int i = 0; i < 4; i++)
		in6[12 + i] = (uint8_t)(sa_in(&v4) >> (24 - 8 * i));
	sa_set_in6(&sa, in6, sa_port(&v4));

	return settings_may_send(s, &sa, false);
}

static bool rest_may_send(const struct settings *s, const char *addr)
{
	struct sa sa;

	assert_int_equal(sa_decode(&sa, addr, strlen(addr)), 0);

	return settings_may_send(s, &sa, true);
}

static bool may_bind(const struct settings *s, const char *text)
{
	struct sipuri u;

	assert_int_equal(sipuri_parse(&u, text, strlen(text)), 0);

	return settings_may_bind(s, &u);
}

static bool is_ours(const struct settings *s, const char *text)
{
	const struct pl pl = {text, strlen(text)};
	struct uri uri;

	assert_int_equal(uri_decode(&uri, &pl), 0);

	return settings_is_ours(s, &uri);
}

static void by_default_loopback_is_not_sent_to(void **state)
{
	struct settings *s = load("192.0.2.1:5060", NULL);

	(void)state;
	assert_non_null(s);
	assert_true(may_send(s, "198.51.100.7:5060"));
	assert_true(may_send(s, "[2001:db8::1]:5060"));
	assert_false(may_send(s, "127.0.0.1:5062"));
	assert_false(may_send(s, "[::1]:5062"));
	assert_false(may_send(s, "169.254.1.1:5060"));
	assert_false(may_send(s, "224.0.1.75:5060"));
	assert_false(may_send(s, "255.255.255.255:5060"));
	assert_false(may_send(s, "0.0.0.0:5060"));
	assert_false(may_send(s, "[ff02::1]:5060"));
	assert_false(may_send(s, "192.0.2.1:5060"));
	assert_false(may_send(s, "192.0.2.1:5062")); /* this host's too */
	assert_false(may_send_mapped(s, "192.0.2.1:5062"));
	assert_false(may_send_mapped(s, "224.0.1.75:5060"));
	mem_deref(s);
}

static void this_host_is_sent_to_where_it_is_named(void **state)
{
	struct settings *s = load("192.0.2.1:5060", "192.0.2.0/24");

	(void)state;
	assert_non_null(s);
	assert_true(may_send(s, "192.0.2.7:5062"));
	assert_false(may_send(s, "192.0.2.1:5062"));
	mem_deref(s);

	s = load("192.0.2.1:5060", "192.0.2.0/24, 192.0.2.1");
	assert_non_null(s);
	assert_true(may_send(s, "192.0.2.1:5062"));
	assert_false(may_send(s, "192.0.2.1:5060"));
	mem_deref(s);

	s = load("192.0.2.1:5060", "192.0.2.1/32");
	assert_non_null(s);
	assert_true(may_send(s, "192.0.2.1:5062"));
	mem_deref(s);
}

static void rest_points_to_public_addresses_alone(void **state)
{
	static const char *const private[] = {
		"10.1.2.3:5060",	 "100.64.0.1:5060",
		"172.16.0.1:5060",	 "192.168.1.2:5060",
		"198.51.100.7:5060",	 "127.0.0.1:5062",
		"[fd00::7]:5060",	 "[2001:db8::1]:5060",
		"[64:ff9b::a00:1]:5060", "[2002:a00:1::1]:5060"};
	struct settings *s = load("192.0.2.1:5060", NULL);

	(void)state;
	assert_non_null(s);
	assert_true(rest_may_send(s, "8.8.8.8:5060"));
	assert_true(rest_may_send(s, "[2a00::1]:5060"));
	for (size_t i = 0; i < sizeof(private) / sizeof(*private); i++)
		assert_false(rest_may_send(s, private[i]));
	assert_true(may_send(s, "10.1.2.3:5060")); /* phones may be there */
	mem_deref(s);
}

static void private_networks_are_named_for_rest(void **state)
{
	struct settings *s;

	(void)state;
	(void)setenv("RESTSIP_AGENT_REST_SEND_ALLOW",
		     "0.0.0.0/1, 128.0.0.0/1, ::/0, 10.0.0.0/8, fc00::/7", 1);
	s = load("192.0.2.1:5060", NULL);
	assert_non_null(s);
	assert_true(rest_may_send(s, "10.1.2.3:5060"));
	assert_true(rest_may_send(s, "[fd00::7]:5060"));
	assert_true(rest_may_send(s, "8.8.8.8:5060"));
	assert_false(rest_may_send(s, "192.168.1.2:5060"));
	mem_deref(s);

	/* where phones may not be, REST may not point */
	s = load("192.0.2.1:5060", "192.168.0.0/16");
	assert_non_null(s);
	assert_false(rest_may_send(s, "10.1.2.3:5060"));
	mem_deref(s);
	(void)unsetenv("RESTSIP_AGENT_REST_SEND_ALLOW");
}

static void only_what_is_allowed_is_sent_to(void **state)
{
	struct settings *s = load("127.0.0.1:5060", "127.0.0.0/8, ::1");

	(void)state;
	assert_non_null(s);
	assert_true(may_send(s, "127.0.0.1:5062"));
	assert_true(may_send(s, "[::1]:5062"));
	assert_false(may_send(s, "127.0.0.1:5060"));
	assert_false(may_send(s, "192.0.2.1:5060"));
	mem_deref(s);
}

static void multicast_is_never_sent_to(void **state)
{
	struct settings *s = load("127.0.0.1:5060", "224.0.0.0/4, 0.0.0.0/8");

	(void)state;
	assert_non_null(s);
	assert_false(may_send(s, "224.0.1.75:5060"));
	assert_false(may_send(s, "0.0.0.0:5060"));
	mem_deref(s);
}

static void what_may_be_bound(void **state)
{
	struct settings *s = load("192.0.2.1:5060 [2001:db8::1]:5070", NULL);

	(void)state;
	assert_non_null(s);
	assert_true(may_bind(s, "sip:a@127.0.0.1:5062"));
	assert_true(may_bind(s, "sip:a@phone.example.org"));
	assert_true(may_bind(s, "sip:a@[2001:db8::2]"));
	assert_false(may_bind(s, "sip:a@192.0.2.1"));
	assert_false(may_bind(s, "sip:a@192.0.2.1:5060"));
	assert_true(may_bind(s, "sip:a@192.0.2.1:5062"));
	assert_false(may_bind(s, "sip:a@[2001:db8::1]:5070"));
	assert_false(may_bind(s, "sip:a@224.0.1.75"));
	assert_false(may_bind(s, "sip:a@[ff02::1]"));
	assert_false(may_bind(s, "sip:a@198.51.100.1;maddr=224.0.1.75"));
	mem_deref(s);
}

static void who_is_hosted_here(void **state)
{
	struct settings *s = load("192.0.2.1:5060", NULL);

	(void)state;
	assert_non_null(s);
	assert_true(is_ours(s, "sip:example.net"));
	assert_true(is_ours(s, "sip:EXAMPLE.com:5061"));
	assert_true(is_ours(s, "sip:192.0.2.1"));
	assert_false(is_ours(s, "sip:192.0.2.1:5070"));
	assert_false(is_ours(s, "sip:example.org"));
	assert_false(is_ours(s, "sip:sub.example.net"));
	assert_string_equal(settings_name(s), "192.0.2.1:5060");
	mem_deref(s);
}

static void tls_has_addresses_and_a_usual_port_of_its_own(void **state)
{
	struct settings *s;
	const struct sa *sav;

	(void)state;
	(void)setenv("RESTSIP_AGENT_TLS_LISTEN", "192.0.2.1:5061", 1);
	s = load("192.0.2.1:5060", NULL);
	assert_non_null(s);
	assert_int_equal(settings_tls_listen(s, &sav), 1);
	assert_int_equal(sa_port(&sav[0]), 5061);
	assert_false(may_send(s, "192.0.2.1:5061"));
	assert_false(may_bind(s, "sips:a@192.0.2.1"));
	assert_false(may_bind(s, "sips:a@192.0.2.1:5061"));
	assert_true(may_bind(s, "sips:a@192.0.2.2"));
	assert_true(is_ours(s, "sips:192.0.2.1"));
	assert_true(is_ours(s, "sip:192.0.2.1:5061"));
	assert_false(is_ours(s, "sips:192.0.2.1:5062"));
	mem_deref(s);

	(void)setenv("RESTSIP_AGENT_TLS_LISTEN", "0.0.0.0:5061", 1);
	assert_null(load("192.0.2.1:5060", NULL));
	(void)unsetenv("RESTSIP_AGENT_TLS_LISTEN");
}

static void only_concrete_addresses_are_listened_on(void **state)
{
	(void)state;
	assert_null(load("0.0.0.0:5060", NULL));
	assert_null(load("[::]:5060", NULL));
	assert_null(load("localhost:5060", NULL));
	assert_null(load("127.0.0.1", NULL));
	assert_null(load("127.0.0.1:70000", NULL));
	assert_null(load("127.0.0.1:4294967297", NULL));
	assert_null(load("", NULL));
}

static void relays_are_asked_at_concrete_addresses(void **state)
{
	static const char *const bad[] = {"localhost:22222", "127.0.0.1",
					  "0.0.0.0:22222", "127.0.0.1:22222,x",
					  "127.0.0.1:99999",
					  /* nine */
					  "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,"
					  "127.0.0.1:4,127.0.0.1:5,127.0.0.1:6,"
					  "127.0.0.1:7,127.0.0.1:8,"
					  "127.0.0.1:9"};
	struct settings *s = load("192.0.2.1:5060", NULL);
	const struct sa *sav;

	(void)state;
	assert_non_null(s);
	assert_int_equal(settings_relays(s, &sav), 0);
	mem_deref(s);
	(void)setenv("RESTSIP_MEDIA_RTPENGINE",
		     "127.0.0.1:22222, [2001:db8::1]:2223", 1);
	s = load("192.0.2.1:5060", NULL);
	assert_non_null(s);
	assert_int_equal(settings_relays(s, &sav), 2);
	assert_int_equal(sa_port(&sav[1]), 2223);
	mem_deref(s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)setenv("RESTSIP_MEDIA_RTPENGINE", bad[i], 1);
		assert_null(load("192.0.2.1:5060", NULL));
	}
	(void)unsetenv("RESTSIP_MEDIA_RTPENGINE");
}

static void an_aor_is_read_unescaped(void **state)
{
	static const struct {
		const char *uri, *aor;
	} cases[] = {
		{"sip:alice@example.net", "alice@example.net"},
		{"sips:alice@EXAMPLE.net:5061;transport=tcp",
		 "alice@example.net"},
		{"sip:%61lice@example.net", "alice@example.net"},
		{"sip:Alice@example.net", "Alice@example.net"},
		{"sip:example.net", NULL},
		{"sip:null-%00-null@example.net", NULL},
		{"sip:a%40b@example.net", NULL},
		{"sip:a%0d%0ab@example.net", NULL},
		{"sip:a%zz@example.net", NULL},
		{"tel:+15551234", NULL},
		{"", NULL},
	};
	char aor[AOR_BUF];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct pl uri = {cases[i].uri, strlen(cases[i].uri)};
		const int err = uri_to_aor(aor, &uri, NULL);

		if (!cases[i].aor != !!err)
			fail_msg("%s: %d", cases[i].uri, err);
		if (!err)
			assert_string_equal(aor, cases[i].aor);
	}
}

/* What a URI's host stands for, by AOR */
static void assert_aor(const struct settings *s, const char *text,
		       const char *expected)
{
	const struct pl uri = {text, strlen(text)};
	char aor[AOR_BUF];

	assert_int_equal(settings_to_aor(s, aor, &uri), 0);
	assert_string_equal(aor, expected);
}

static void our_names_stand_for_the_one_domain(void **state)
{
	struct settings *s;

	(void)state;
	setenv("RESTSIP_AGENT_ALIASES",
	       "sip.example.org, 192.0.2.9 [2001:db8::9]", 1);
	s = load_of("example.net", "192.0.2.1:5062", "0.0.0.0/0");
	assert_aor(s, "sip:a@192.0.2.1", "a@example.net");
	assert_aor(s, "sip:a@192.0.2.1:5062;x", "a@example.net");
	assert_aor(s, "sip:a@192.0.2.1:5063", "a@192.0.2.1");
	assert_aor(s, "sip:a@192.0.2.2", "a@192.0.2.2");
	assert_aor(s, "sips:a@SIP.example.ORG:5061", "a@example.net");
	assert_aor(s, "sip:a@192.0.2.9:5070", "a@example.net");
	assert_aor(s, "sip:a@[2001:db8:0:0::9]", "a@example.net");
	assert_aor(s, "sip:a@example.com", "a@example.com");
	mem_deref(s);

	s = load("192.0.2.1:5062", "0.0.0.0/0");
	assert_aor(s, "sip:a@192.0.2.1", "a@192.0.2.1");
	assert_aor(s, "sip:a@sip.example.org", "a@sip.example.org");
	mem_deref(s);
	unsetenv("RESTSIP_AGENT_ALIASES");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_default_loopback_is_not_sent_to),
		cmocka_unit_test(this_host_is_sent_to_where_it_is_named),
		cmocka_unit_test(rest_points_to_public_addresses_alone),
		cmocka_unit_test(private_networks_are_named_for_rest),
		cmocka_unit_test(only_what_is_allowed_is_sent_to),
		cmocka_unit_test(multicast_is_never_sent_to),
		cmocka_unit_test(what_may_be_bound),
		cmocka_unit_test(who_is_hosted_here),
		cmocka_unit_test(tls_has_addresses_and_a_usual_port_of_its_own),
		cmocka_unit_test(only_concrete_addresses_are_listened_on),
		cmocka_unit_test(relays_are_asked_at_concrete_addresses),
		cmocka_unit_test(an_aor_is_read_unescaped),
		cmocka_unit_test(our_names_stand_for_the_one_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
