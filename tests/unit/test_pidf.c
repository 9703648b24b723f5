/*
 * Presence documents (RFC 3863), good and hostile.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/pidf.h"

#define NS "xmlns=\"urn:ietf:params:xml:ns:pidf\""
#define DOC(inner) "<presence " NS " entity=\"pres:a@b\">" inner "</presence>"
#define TUPLE(inner) DOC("<tuple id=\"x\">" inner "</tuple>")

static int setup(void **state)
{
	*state = arena_new();

	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(*state);

	return 0;
}

static struct pidf good(struct arena *a, const char *text)
{
	struct pidf pidf = {.note = "unset"};

	assert_int_equal(pidf_parse(&pidf, a, text, strlen(text)), 0);

	return pidf;
}

static void bad(struct arena *a, const char *text)
{
	struct pidf pidf;

	assert_int_equal(pidf_parse(&pidf, a, text, strlen(text)), EBADMSG);
}

static void open_and_closed(void **state)
{
	assert_true(good(*state, TUPLE("<status><basic>open</basic></status>"))
			    .open);
	assert_false(good(*state,
			  TUPLE("<status><basic>\n closed </basic></status>"))
			     .open);
	assert_true(good(*state, DOC("")).open);
	assert_null(good(*state, DOC("")).note);
}

static void the_first_tuple_and_the_first_note_count(void **state)
{
	const struct pidf pidf = good(
		*state,
		DOC("<tuple id=\"1\"><status><basic>closed</basic></status>"
		    "<note xml:lang=\"de\">M\xc3\xbc"
		    "de &amp; &lt;weg&gt;</note></tuple>"
		    "<tuple id=\"2\"><status><basic>open</basic></status>"
		    "<note>later</note></tuple>"));

	assert_false(pidf.open);
	assert_string_equal(pidf.note, "M\xc3\xbc"
				       "de & <weg>");
}

static void the_contact_is_the_first_one(void **state)
{
	const struct pidf pidf = good(
		*state, TUPLE("<status/><contact priority=\"0.8\">\n sip:a@"
			      "192.0.2.1;ob </contact><contact>sip:b@x"
			      "</contact>"));

	assert_string_equal(pidf.contact, "sip:a@192.0.2.1;ob");
	assert_null(good(*state, TUPLE("<contact> </contact>")).contact);
	assert_null(good(*state, DOC("")).contact);
}

static void what_others_add_is_passed_over(void **state)
{
	const struct pidf pidf = good(
		*state,
		"<?xml version=\"1.0\"?><p:presence xmlns:p=\"urn:ietf:params:"
		"xml:ns:pidf\" xmlns:o=\"urn:x\"><o:basic>nonsense</o:basic>"
		"<o:note>no</o:note><p:tuple id=\"1\"><p:status><p:basic>"
		"closed</p:basic></p:status></p:tuple></p:presence>");

	assert_false(pidf.open);
	assert_null(pidf.note);
}

static void what_is_no_pidf_is_refused(void **state)
{
	bad(*state, "");
	bad(*state, "no xml");
	bad(*state, "<presence/>");
	bad(*state, "<tuple " NS "/>");
	bad(*state, "<presence " NS ">");
	bad(*state, DOC("") DOC(""));
	bad(*state, TUPLE("<status><basic>perhaps</basic></status>"));
	bad(*state, TUPLE("<status><basic></basic></status>"));
	bad(*state, TUPLE("<status><basic>openopenopenopen</basic></status>"));
	bad(*state, DOC("<note>\x01</note>"));
	bad(*state, DOC("<note>\xff</note>"));
}

static void a_dtd_is_refused(void **state)
{
	bad(*state, "<!DOCTYPE presence>" DOC(""));
	bad(*state, "<!DOCTYPE p SYSTEM \"file:///etc/passwd\">" DOC(""));
	bad(*state, "<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY b "
		    "\"&a;&a;\">]>" DOC("<note>&b;</note>"));
	bad(*state, DOC("<note>&a;</note>"));
}

static void depth_and_length_are_bounded(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	buf_str(&b, "<presence " NS "><note>");
	for (int i = 0; i < PIDF_NOTE_MAX; i++)
		buf_char(&b, 'x');
	buf_str(&b, "</note></presence>");
	assert_int_equal(strlen(good(*state, b.p).note), PIDF_NOTE_MAX);
	buf_reset(&b);
	buf_str(&b, "<presence " NS "><note>");
	for (int i = 0; i <= PIDF_NOTE_MAX; i++)
		buf_char(&b, 'x');
	buf_str(&b, "</note></presence>");
	bad(*state, b.p);
	buf_reset(&b);
	buf_str(&b, "<presence " NS ">");
	for (int i = 0; i < PIDF_DEPTH_MAX; i++)
		buf_str(&b, "<a>");
	for (int i = 0; i < PIDF_DEPTH_MAX; i++)
		buf_str(&b, "</a>");
	buf_str(&b, "</presence>");
	bad(*state, b.p);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(open_and_closed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			the_first_tuple_and_the_first_note_count, setup,
			teardown),
		cmocka_unit_test_setup_teardown(the_contact_is_the_first_one,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_add_is_passed_over,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_pidf_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_dtd_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(depth_and_length_are_bounded,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
