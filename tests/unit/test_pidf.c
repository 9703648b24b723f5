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
#include "common/presence/pidf.h"
#include "common/xml_walk.h"

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

#define MODEL "xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" "
#define RPID "xmlns:r=\"urn:ietf:params:xml:ns:pidf:rpid\" "
#define PLACES "xmlns:lt=\"urn:ietf:params:xml:ns:location-type\" "
#define RICH(inner) \
	"<presence " NS " " MODEL RPID PLACES "entity=\"pres:a@b\">" inner \
	"</presence>"
#define PERSON(inner) RICH("<dm:person id=\"p\">" inner "</dm:person>")

static struct pidf good(struct arena *a, const char *text)
{
	struct pidf pidf = {.contact = "unset"};
	const char *why;

	assert_int_equal(pidf_parse(&pidf, a, text, strlen(text), &why), 0);

	return pidf;
}

static void refused(struct arena *a, const char *text, int err,
		    const char *because)
{
	struct pidf pidf;
	const char *why = NULL;

	assert_int_equal(pidf_parse(&pidf, a, text, strlen(text), &why), err);
	assert_non_null(why);
	if (because)
		assert_string_equal(why, because);
}

static void bad(struct arena *a, const char *text)
{
	refused(a, text, EBADMSG, NULL);
}

/* What a document says, as it is kept. */
static void kept(struct arena *a, const char *text, const char *json)
{
	const struct pidf pidf = good(a, text);
	struct buf b;

	buf_init(&b, 1 << 16);
	presence_write(&b, &pidf.presence, NULL);
	assert_string_equal(b.p, json);
	buf_free(&b);
}

static void open_and_closed(void **state)
{
	kept(*state, TUPLE("<status><basic>open</basic></status>"),
	     "{\"basic\":\"open\"}");
	kept(*state, TUPLE("<status><basic>\n closed </basic></status>"),
	     "{\"basic\":\"closed\"}");
	kept(*state, DOC(""), "{\"basic\":\"open\"}");
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

	assert_true(pidf.presence.closed);
	assert_string_equal(pidf.presence.note, "M\xc3\xbc"
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

static void the_person_in_words(void **state)
{
	kept(*state,
	     PERSON("<r:activities from=\"2026-01-01T00:00:00Z\"><r:away/>"
		    "<r:on-the-phone/><r:away/><r:other> on \"stage\" "
		    "</r:other><r:other/></r:activities><r:mood><r:note>so so"
		    "</r:note><r:in_awe/></r:mood><r:place-type><lt:office/>"
		    "<r:cafe/></r:place-type><dm:note>back at 5</dm:note>"
		    "<dm:timestamp>2026-01-01T00:00:00Z</dm:timestamp>"),
	     "{\"basic\":\"open\",\"activities\":[\"away\","
	     "\"on-the-phone\",\"other:on \\\"stage\\\"\",\"other\"],"
	     "\"mood\":[\"in_awe\"],\"place_type\":[\"office\",\"cafe\"],"
	     "\"note\":\"back at 5\"}");
	kept(*state,
	     RICH("<tuple id=\"1\"><status><basic>closed</basic>"
		  "<r:activities><r:busy/></r:activities></status></tuple>"),
	     "{\"basic\":\"closed\",\"activities\":[\"busy\"]}");
}

static void the_nearest_note_counts(void **state)
{
	static const char *const inner[] = {
		"<dm:person id=\"p\"><r:activities><r:note>list</r:note>"
		"</r:activities></dm:person>",
		"<note>document</note>",
		"<dm:person id=\"p\"><dm:note>person</dm:note></dm:person>",
		"<tuple id=\"1\"><note>tuple</note><note>later</note></tuple>",
	};
	static const char *const note[] = {"list", "document", "person",
					   "tuple"};
	struct buf b;

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < 4; i++) {
		/* whether it comes first or last */
		for (size_t first = 0; first < 2; first++) {
			buf_reset(&b);
			buf_str(&b, "<presence " NS " " MODEL RPID ">");
			if (first)
				buf_str(&b, inner[i]);
			for (size_t j = 0; j < i; j++)
				buf_str(&b, inner[j]);
			if (!first)
				buf_str(&b, inner[i]);
			buf_str(&b, "</presence>");
			assert_string_equal(good(*state, b.p).presence.note,
					    note[i]);
		}
	}
	buf_free(&b);
}

static void what_others_add_is_kept(void **state)
{
	kept(*state,
	     "<?xml version=\"1.0\"?><p:presence xmlns:p=\"urn:ietf:params:"
	     "xml:ns:pidf\" xmlns:o=\"urn:x\"><o:basic>nonsense</o:basic>"
	     "<o:note>no</o:note><p:tuple id=\"1\"><p:status><p:basic>"
	     "closed</p:basic></p:status></p:tuple></p:presence>",
	     "{\"basic\":\"closed\",\"xml\":{\"presence\":\"<o:basic "
	     "xmlns:o=\\\"urn:x\\\">nonsense</o:basic><o:note xmlns:o="
	     "\\\"urn:x\\\">no</o:note>\"}}");
}

static const char *xml_of(struct arena *a, const char *text,
			  enum presence_place place)
{
	return good(a, text).presence.xml[place];
}

/* Each place, namespaces that are declared above or anew, attributes, blanks
   and what is not text. */
static void xml_is_written_anew(void **state)
{
#define OTHERS "xmlns:o=\"urn:o\" "
#define OUT "<o:x xmlns:o=\"urn:o\"></o:x>"
	static const char text[] =
		"<presence " NS " " MODEL RPID OTHERS "><tuple id=\"1\">"
		"<status><o:x/></status><o:x/></tuple><dm:person id=\"p\">"
		"<o:x/><r:mood><o:x/></r:mood><r:activities><o:x/>"
		"</r:activities><r:place-type><o:x/></r:place-type>"
		"</dm:person><o:x/></presence>";

	for (size_t i = 0; i < PRESENCE_PLACES; i++)
		assert_string_equal(
			xml_of(*state, text, (enum presence_place)i), OUT);
	assert_string_equal(
		xml_of(*state,
		       DOC("<o:x " OTHERS "xmlns:q=\"urn:q&amp;\" q:a=\"1&#10;"
			   "&lt;\" q:b=\"&quot;\" o:c=\"\" d=\"'\" xml:lang="
			   "\"de\"><o:y><!-- no --><z xmlns=\"urn:z\"/><z xmlns"
			   "=\"\"/></o:y>a&amp;<![CDATA[<b>]]>&#13;<?no?></o:x>"),
		       PRESENCE_IN_DOCUMENT),
		"<o:x xmlns:o=\"urn:o\" xmlns:q=\"urn:q&amp;\" q:a=\"1&#10;"
		"&lt;\" q:b=\"&quot;\" o:c=\"\" d=\"'\" xml:lang=\"de\"><o:y>"
		"<z xmlns=\"urn:z\"></z><z xmlns=\"\"></z></o:y>a&amp;&lt;b"
		"&gt;&#13;</o:x>");
	bad(*state, DOC("<o:x xmlns:o=\"urn:a|b\"/>"));
}

static void unknown_words_are_xml(void **state)
{
	kept(*state,
	     PERSON("<r:activities><r:juggling/></r:activities>"
		    "<r:sphere>work</r:sphere>"),
	     "{\"basic\":\"open\",\"xml\":{\"activities\":\"<r:juggling "
	     "xmlns:r=\\\"urn:ietf:params:xml:ns:pidf:rpid\\\"></r:juggling>"
	     "\",\"person\":\"<r:sphere xmlns:r=\\\"urn:ietf:params:xml:ns:"
	     "pidf:rpid\\\">work</r:sphere>\"}}");
}

static void xml_alone(void **state)
{
	static const char *const wrong[] = {
		"text",
		"<a>",
		"</p:presence>",
		"<a/>b",
		"<!DOCTYPE a>",
		"<?xml version=\"1.0\"?><a/>",
		"<a>&b;</a>",
		"<tuple " NS "/>",
		"</p:presence><p:presence>",
		"\xff",
	};
	const char *out = "unset", *why;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(pidf_read_xml(&out, *state, wrong[i],
					       strlen(wrong[i]), &why),
				 EBADMSG);
	assert_string_equal(out, "unset");
	assert_int_equal(
		pidf_read_xml(&out, *state, "<a/> <b c='d'/>", 15, &why), 0);
	assert_string_equal(out, "<a xmlns=\"\"></a><b xmlns=\"\" c=\"d\">"
				 "</b>");
	assert_int_equal(pidf_read_xml(&out, *state, " ", 1, &why), 0);
	assert_null(out);
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

/* A document that repeats something. */
static const char *repeated(struct arena *a, const char *head, const char *what,
			    size_t times, const char *tail)
{
	const char *text;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_str(&b, head);
	for (size_t i = 0; i < times; i++)
		buf_str(&b, what);
	buf_str(&b, tail);
	text = arena_mem(a, b.p, b.len);
	assert_non_null(text);
	buf_free(&b);

	return text;
}

static void length_is_bounded_by_name(void **state)
{
	static const struct {
		const char *head, *what, *tail;
		size_t most;
		const char *why;
	} rows[] = {
		{"<presence " NS "><note>", "x", "</note></presence>",
		 PRESENCE_NOTE_MAX, "A note has at most 1000 bytes"},
		{"<presence " NS "><tuple id=\"1\"><contact>", "x",
		 "</contact></tuple></presence>", PIDF_CONTACT_MAX,
		 "A contact has at most 1024 bytes"},
		{"<presence " NS " " MODEL RPID "><dm:person id=\"p\"><r:mood>"
		 "<r:other>",
		 "x", "</r:other></r:mood></dm:person></presence>",
		 PRESENCE_WORD_MAX - 6,
		 "A list has at most 16 words of 100 bytes"},
		{"<presence " NS "><o:a xmlns:o=\"urn:o\">", "x",
		 "</o:a></presence>", PRESENCE_XML_MAX - 27,
		 "Other XML has at most 3000 bytes"},
		/* in two places, of which neither is too long */
		{"<presence " NS "><tuple id=\"1\"><a xmlns=\"\"/></tuple>"
		 "<o:a xmlns:o=\"urn:o\">",
		 "x", "</o:a></presence>", PRESENCE_XML_MAX - 27 - 16,
		 "Other XML has at most 3000 bytes"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		(void)good(*state, repeated(*state, rows[i].head, rows[i].what,
					    rows[i].most, rows[i].tail));
		refused(*state,
			repeated(*state, rows[i].head, rows[i].what,
				 rows[i].most + 1, rows[i].tail),
			EMSGSIZE, rows[i].why);
	}
	refused(*state,
		PERSON("<r:mood><r:sad/><r:shy/><r:hot/><r:calm/><r:cold/>"
		       "<r:sick/><r:mean/><r:hurt/><r:proud/><r:moody/>"
		       "<r:happy/><r:brave/><r:angry/><r:bored/><r:afraid/>"
		       "<r:amazed/><r:worried/></r:mood>"),
		EMSGSIZE, "A list has at most 16 words of 100 bytes");
}

static void depth_is_bounded(void **state)
{
	const char *const tag[][2] = {{"<a>", "</a>"},
				      {"<a xmlns=\"urn:o\">", "</a>"}};

	for (size_t i = 0; i < 2; i++) {
		for (size_t n = XML_WALK_DEPTH_MAX - 1; n <= XML_WALK_DEPTH_MAX;
		     n++) {
			const char *text = repeated(
				*state,
				repeated(*state, "<presence " NS ">", tag[i][0],
					 n, ""),
				tag[i][1], n, "</presence>");

			if (n < XML_WALK_DEPTH_MAX)
				(void)good(*state, text);
			else
				refused(*state, text, EBADMSG,
					"Elements are at most 16 deep");
		}
	}
	bad(*state, repeated(*state, "<presence " NS ">", "<a/><a>", 5000, ""));
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
		cmocka_unit_test_setup_teardown(the_person_in_words, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_nearest_note_counts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_others_add_is_kept, setup,
						teardown),
		cmocka_unit_test_setup_teardown(xml_is_written_anew, setup,
						teardown),
		cmocka_unit_test_setup_teardown(unknown_words_are_xml, setup,
						teardown),
		cmocka_unit_test_setup_teardown(xml_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_pidf_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_dtd_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(length_is_bounded_by_name,
						setup, teardown),
		cmocka_unit_test_setup_teardown(depth_is_bounded, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
