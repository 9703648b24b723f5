/*
 * element.h: what an element of a presence document is, by where it stands.
 */
#ifndef ELEMENT_H
#define ELEMENT_H

#include <stdbool.h>

#include "common/presence/keep.h"
#include "common/presence/presence.h"

/** The first ones are those of enum presence_place: XML is kept in them. */
enum element {
	IN_ACTIVITIES = PRESENCE_ACTIVITIES,
	IN_MOOD = PRESENCE_MOOD,
	IN_PLACE_TYPE = PRESENCE_PLACE_TYPE,
	IN_PERSON = PRESENCE_IN_PERSON,
	IN_STATUS = PRESENCE_IN_STATUS,
	IN_TUPLE = PRESENCE_IN_TUPLE,
	IN_DOCUMENT = PRESENCE_IN_DOCUMENT,
	ABOVE_DOCUMENT = PRESENCE_PLACES,
	IS_BASIC,
	IS_NOTE,
	IS_CONTACT,
	IS_WORD,   /* of the list that it stands in */
	IS_OTHER,  /* a text of that list */
	IS_PASSED, /* of no matter to us, with all in it */
	IS_KEPT,   /* none of these: it is kept as XML */
};

enum element element_of(enum element in, const struct xml_name *name);

/** Whether it is one of PIDF itself. */
bool element_is_pidf(const struct xml_name *name);

#endif
