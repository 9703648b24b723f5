#include "common/presence/element.h"

#include <string.h>

#define PIDF "urn:ietf:params:xml:ns:pidf"
#define MODEL "urn:ietf:params:xml:ns:pidf:data-model"
#define RPID "urn:ietf:params:xml:ns:pidf:rpid"
#define PLACES "urn:ietf:params:xml:ns:location-type"

#define BIT(in) (1U << (in))
#define DOCUMENT BIT(IN_DOCUMENT)
#define TUPLE (BIT(IN_TUPLE) | BIT(IN_STATUS))
#define PERSON BIT(IN_PERSON)
#define LISTS (BIT(IN_ACTIVITIES) | BIT(IN_MOOD) | BIT(IN_PLACE_TYPE))

/* Phones put what is said of the person into the tuple, too. */
static const struct rule {
	unsigned in;
	const char *uri, *local;
	enum element is;
} rules[] = {
	{BIT(ABOVE_DOCUMENT), PIDF, "presence", IN_DOCUMENT},
	{DOCUMENT, PIDF, "tuple", IN_TUPLE},
	{DOCUMENT, MODEL, "person", IN_PERSON},
	{BIT(IN_TUPLE), PIDF, "status", IN_STATUS},
	{TUPLE, PIDF, "basic", IS_BASIC},
	{TUPLE, PIDF, "contact", IS_CONTACT},
	{DOCUMENT | TUPLE, PIDF, "note", IS_NOTE},
	{PERSON, MODEL, "note", IS_NOTE},
	{PERSON, MODEL, "timestamp", IS_PASSED},
	{PERSON | TUPLE, RPID, "activities", IN_ACTIVITIES},
	{PERSON | TUPLE, RPID, "mood", IN_MOOD},
	{PERSON | TUPLE, RPID, "place-type", IN_PLACE_TYPE},
	{LISTS, RPID, "note", IS_NOTE},
	{LISTS, RPID, "other", IS_OTHER},
};

static bool is(const char *p, size_t n, const char *word)
{
	return n == strlen(word) && !memcmp(p, word, n);
}

static bool is_in(const struct xml_name *n, const char *uri)
{
	return is(n->uri, n->uri_len, uri);
}

bool element_is_pidf(const struct xml_name *name)
{
	return is_in(name, PIDF);
}

/* Types of place have a namespace of their own, which some do without. */
static bool is_word(enum element in, const struct xml_name *n)
{
	return LISTS & BIT(in) && (is_in(n, RPID) || is_in(n, PLACES)) &&
	       presence_knows((enum presence_list)in, n->local, n->local_len);
}

enum element element_of(enum element in, const struct xml_name *name)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		const struct rule *rule = &rules[i];

		if (rule->in & BIT(in) && is_in(name, rule->uri) &&
		    is(name->local, name->local_len, rule->local))
			return rule->is;
	}
	if (is_word(in, name))
		return IS_WORD;
	if (in == IS_KEPT || (in < ABOVE_DOCUMENT && !is_in(name, PIDF)))
		return IS_KEPT;

	return IS_PASSED;
}
