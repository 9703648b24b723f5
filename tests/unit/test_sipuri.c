/*
 * SIP URIs as contacts: which are taken, their parts, and when two are one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/sipuri.h"

static void assert_part(struct sipuri_part part, const char *text)
{
	if (!text) {
		assert_null(part.p);
		return;
	}
	assert_non_null(part.p);
	assert_int_equal(part.n, strlen(text));
	assert_memory_equal(part.p, text, part.n);
}

static struct sipuri parse(const char *text)
{
	struct sipuri u;

	if (sipuri_parse(&u, text, strlen(text)))
		fail_msg("%s was refused", text);
	return u;
}

static void assert_refused_mem(const char *text, size_t len)
{
	struct sipuri u;

	if (!sipuri_parse(&u, text, len))
		fail_msg("%s was taken", text);
}

static void key_of(char out[static SIPURI_KEY_BUF], const char *text)
{
	const struct sipuri u = parse(text);

	assert_int_equal(sipuri_key(out, &u), 0);
}

static void assert_same(const char *a, const char *b)
{
	char key_a[SIPURI_KEY_BUF], key_b[SIPURI_KEY_BUF];

	key_of(key_a, a);
	key_of(key_b, b);
	if (strcmp(key_a, key_b))
		fail_msg("%s is %s, %s is %s", a, key_a, b, key_b);
}

static void assert_other(const char *a, const char *b)
{
	char key_a[SIPURI_KEY_BUF], key_b[SIPURI_KEY_BUF];

	key_of(key_a, a);
	key_of(key_b, b);
	if (!strcmp(key_a, key_b))
		fail_msg("%s and %s are both %s", a, b, key_a);
}

static void parts_are_found(void **state)
{
	struct sipuri u = parse("sip:alice@192.0.2.3:5062;transport=tcp;lr");
	struct sipuri_part value;

	(void)state;
	assert_false(u.secure);
	assert_part(u.user, "alice");
	assert_part(u.host, "192.0.2.3");
	assert_int_equal(u.port, 5062);
	assert_part(u.params, ";transport=tcp;lr");
	assert_true(sipuri_param(&u, "TRANSPORT", &value));
	assert_part(value, "tcp");
	assert_true(sipuri_param(&u, "lr", &value));
	assert_int_equal(value.n, 0);
	assert_false(sipuri_param(&u, "trans", &value));
	assert_false(sipuri_param(&u, "transportx", &value));
}

static void user_port_and_parameters_may_be_missing(void **state)
{
	struct sipuri u = parse("SIPS:example.net");

	(void)state;
	assert_true(u.secure);
	assert_part(u.user, NULL);
	assert_part(u.host, "example.net");
	assert_int_equal(u.port, 0);
	assert_int_equal(u.params.n, 0);
}

static void an_ipv6_host_stands_in_brackets(void **state)
{
	struct sipuri u = parse("sip:a@[2001:db8::1]:5070");

	(void)state;
	assert_part(u.host, "[2001:db8::1]");
	assert_int_equal(u.port, 5070);
}

static void users_of_phones_and_browsers_are_taken(void **state)
{
	static const char *const all[] = {
		"sip:+1-212-555-1212@gw.example.net;user=phone",
		"sip:alice;day=tuesday@atlanta.example.net",
		"sip:a%20b@h",
		"sip:8f3k2@b7vqb1.invalid;transport=ws",
		"sip:alice-0x55d8@10.0.0.1:49152",
		"sip:a@h;maddr=[::1];ttl=15",
		"sip:a@h.;x=%41",
		"sip:?/@h",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		(void)parse(all[i]);
}

static void what_is_no_contact_is_refused(void **state)
{
	static const char *const all[] = {
		"",
		"sip:",
		"sips:",
		"sip:@h",
		"sip:a@",
		"tel:+12125551212",
		"http://example.net",
		"mailto:a@b",
		"<sip:a@b>",
		"sip:a@b>",
		"sip:a@b<",
		" sip:a@b",
		"sip:a@b ",
		"sip: a@b",
		"sip:a b@c",
		"sip:a@b\r\nContact: x",
		"sip:a@b\n",
		"sip:a\t@b",
		"sip:a@b?subject=x",
		"sip:b?subject=x",
		"sip:a@b:0",
		"sip:a@b:65536",
		"sip:a@b:99999999999",
		"sip:a@b:",
		"sip:a@b:50x",
		"sip:a@b:-1",
		"sip:a@[::1",
		"sip:a@[::1]x",
		"sip:a@[127.0.0.1]",
		"sip:a@::1",
		"sip:a@[]",
		"sip:a@b;=x",
		"sip:a@b;x=",
		"sip:a@b;x=\"y\"",
		"sip:a@b;x=a=b",
		"sip:a@b@c",
		"sip:a%@b",
		"sip:a%4@b",
		"sip:a%zz@b",
		"sip:a%00@b",
		"sip:a%0d%0a@b",
		"sip:a@b;x=%0a",
		"sip:a@b;x=%00",
		"sip:\xc3\xa4@b",
		"sip:a@b\xc3\xa4",
		"sip:a@.b",
		"sip:a@-b",
		"sip:a@b-",
		"sip:a@b..c",
		"sip:a\"b@c",
		"sip:a\\b@c",
		"sip:a,b@c,d",
		"*",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_refused_mem(all[i], strlen(all[i]));
	assert_refused_mem("sip:a@b\0c", 9);
	assert_refused_mem("sip:a\0b@c", 9);
}

static void at_most_1024_bytes(void **state)
{
	char *text = malloc(SIPURI_MAX + 2);
	char key[SIPURI_KEY_BUF];
	struct sipuri u;

	(void)state;
	assert_non_null(text);
	memcpy(text, "sip:a@b;x=", 10);
	memset(text + 10, 'y', SIPURI_MAX - 9);
	assert_int_equal(sipuri_parse(&u, text, SIPURI_MAX), 0);
	assert_int_equal(sipuri_key(key, &u), 0);
	assert_refused_mem(text, SIPURI_MAX + 1);
	/* the longest key comes of parameters that count */
	memcpy(text, "sip:a@b;maddr=", 14);
	assert_int_equal(sipuri_parse(&u, text, SIPURI_MAX), 0);
	assert_int_equal(sipuri_key(key, &u), 0);
	assert_true(strlen(key) < SIPURI_KEY_BUF);
	free(text);
}

static void the_same_contact_has_one_key(void **state)
{
	(void)state;
	assert_same("sip:alice@atlanta.com", "SIP:alice@AtLanTa.CoM");
	assert_same("sip:%61lice@atlanta.com;transport=TCP",
		    "sip:alice@AtlanTa.CoM;Transport=tcp");
	assert_same("sip:a%2fb@h", "sip:a%2Fb@h");
	assert_same("sip:a@h;b=1;A;c=2", "sip:a@h;C=2;a;B=1;b=3");
	assert_same("sip:a@h_1", "sip:a@H_1;");
	assert_same("sip:a@h;;x;", "sip:a@h;x");
	assert_same("sip:a@h;ttl=1;maddr=m", "sip:a@h;maddr=M;ttl=1");
}

static void parameters_that_may_be_missing_stand_behind_a_space(void **state)
{
	char key[SIPURI_KEY_BUF];

	(void)state;
	key_of(key, "sip:carol@chicago.com;newparam=5;transport=tcp;ob");
	assert_string_equal(
		key, "sip:carol@chicago.com;transport=tcp newparam=5;ob");
	key_of(key, "sip:carol@chicago.com;transport=tcp");
	assert_string_equal(key, "sip:carol@chicago.com;transport=tcp");
	key_of(key, "sip:a@h;abc;ab=1;abcd;ab=2");
	assert_string_equal(key, "sip:a@h ab=1;abc;abcd");
}

static void other_contacts_have_other_keys(void **state)
{
	(void)state;
	assert_other("sip:a@h;security=on", "sip:a@h;security=off");
	assert_other("sip:ALICE@h", "sip:alice@h");
	assert_other("sip:a@h", "sips:a@h");
	assert_other("sip:a@h", "sip:a@h:5060");
	assert_other("sip:a@h:5060", "sip:a@h:5061");
	assert_other("sip:a@h", "sip:a@h;transport=udp");
	assert_other("sip:a@h;transport=tcp", "sip:a@h;transport=udp");
	assert_other("sip:a@h", "sip:h");
	assert_other("sip:a@h", "sip:a@h;user=phone");
	assert_other("sip:a@h", "sip:a@h;maddr=239.255.255.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_found),
		cmocka_unit_test(user_port_and_parameters_may_be_missing),
		cmocka_unit_test(an_ipv6_host_stands_in_brackets),
		cmocka_unit_test(users_of_phones_and_browsers_are_taken),
		cmocka_unit_test(what_is_no_contact_is_refused),
		cmocka_unit_test(at_most_1024_bytes),
		cmocka_unit_test(the_same_contact_has_one_key),
		cmocka_unit_test(
			parameters_that_may_be_missing_stand_behind_a_space),
		cmocka_unit_test(other_contacts_have_other_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
