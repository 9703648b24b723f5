/*
 * ICE servers of the settings: which are taken, and what pages get of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/ice.h"

static void load(struct config *c, const char *servers, const char *secret)
{
	char why[CONFIG_WHY_SIZE];

	assert_int_equal(setenv("RESTSIP_MEDIA_ICE_SERVERS", servers, 1), 0);
	assert_int_equal(setenv("RESTSIP_MEDIA_TURN_SECRET", secret, 1), 0);
	assert_int_equal(config_load(c, NULL, why), 0);
	assert_int_equal(unsetenv("RESTSIP_MEDIA_ICE_SERVERS"), 0);
	assert_int_equal(unsetenv("RESTSIP_MEDIA_TURN_SECRET"), 0);
}

static void assert_check(const char *servers, const char *secret, int err,
			 const char *word)
{
	char why[CONFIG_WHY_SIZE] = "";
	struct config c;
	int got;

	load(&c, servers, secret);
	got = ice_check(&c, why);
	if (got != err || !strstr(why, word))
		fail_msg("'%s': %d '%s'", servers, got, why);
	config_free(&c);
}

static void uris_of_servers_are_taken(void **state)
{
	static const char *const good[] = {
		"",
		"stun:stun.example.net",
		"stun:192.0.2.1:3478, stuns:[2001:db8::1]:5349",
		"turn:t.example.net turns:t.example.net:443?transport=tcp",
		"turn:[2001:db8::1]?transport=udp",
		"stun:a,stun:b,stun:c,stun:d,stun:e,stun:f,stun:g,stun:h",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_check(good[i], "s", 0, "");
}

static void what_a_browser_would_refuse_is_refused(void **state)
{
	static const char *const bad[] = {
		"stun.example.net",
		"http://stun.example.net",
		"stun:",
		"stun://stun.example.net",
		"stun:a:0",
		"stun:a:65536",
		"stun:a:123456",
		"stun:a:",
		"stun:a:1x",
		"stun:a?transport=udp",
		"turn:a?transport=tls",
		"turn:a?transport=udpx",
		"turn:user@a",
		"turn:[2001:db8::1",
		"turn:[]",
		"stun:good, stun:b\"d",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_check(bad[i], "s", 22 /* EINVAL */, "ice_servers");
	assert_check("stun:a,stun:b,stun:c,stun:d,stun:e,stun:f,stun:g,stun:h,"
		     "stun:i",
		     "", 22, "more than 8");
}

static void an_uri_has_a_length(void **state)
{
	char url[300];

	(void)state;
	(void)snprintf(url, sizeof(url), "stun:%0250d", 0);
	assert_check(url, "", 0, "");
	(void)snprintf(url, sizeof(url), "stun:%0251d", 0);
	assert_check(url, "", 22, "ice_servers");
}

static void turn_needs_a_secret(void **state)
{
	(void)state;
	assert_check("stun:a", "", 0, "");
	assert_check("stun:a, turn:b", "", 22, "turn_secret");
	assert_check("turns:b", "", 22, "turn_secret");
}

static void assert_written(const char *servers, const char *email,
			   const char *text)
{
	struct config c;
	struct buf b;

	load(&c, servers, "north");
	buf_init(&b, 4096);
	assert_int_equal(ice_write(&b, &c, email, 1893456000), 0);
	assert_false(b.failed);
	assert_string_equal(b.p, text);
	buf_free(&b);
	config_free(&c);
}

static void pages_get_them_with_credentials(void **state)
{
	(void)state;
	assert_written("", "a@b.net", "[]");
	assert_written("stun:a", "a@b.net", "[{\"urls\":\"stun:a\"}]");
	assert_written("stun:a, turn:b:1?transport=tcp", "alice@example.net",
		       "[{\"urls\":\"stun:a\"},"
		       "{\"urls\":\"turn:b:1?transport=tcp\","
		       "\"username\":\"1893456000:alice@example.net\","
		       "\"credential\":\"KCfJBNT9srAhirLp5zZI9FWj5Fo=\"}]");
}

static void an_email_of_any_length_is_no_overflow(void **state)
{
	char email[500];
	struct config c;
	struct buf b;

	(void)state;
	memset(email, 'x', sizeof(email) - 1);
	email[sizeof(email) - 1] = '\0';
	load(&c, "turn:b", "north");
	buf_init(&b, 4096);
	assert_int_not_equal(ice_write(&b, &c, email, 1893456000), 0);
	buf_free(&b);
	config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris_of_servers_are_taken),
		cmocka_unit_test(what_a_browser_would_refuse_is_refused),
		cmocka_unit_test(an_uri_has_a_length),
		cmocka_unit_test(turn_needs_a_secret),
		cmocka_unit_test(pages_get_them_with_credentials),
		cmocka_unit_test(an_email_of_any_length_is_no_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
