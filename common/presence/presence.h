/*
 * presence.h: what a contact says of itself and of the person behind it: open
 * or closed and a note (RFC 3863), what the person does, feels and where it is
 * (RFC 4480, RFC 4589), and XML that we have no word for. PIDF and JSON are
 * both read into this, and it is kept as the JSON that presence_write() makes.
 */
#ifndef PRESENCE_H
#define PRESENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"
#include "common/buf.h"

enum {
	PRESENCE_NOTE_MAX = 1000, /* bytes */
	PRESENCE_WORDS_MAX = 16,  /* of each list */
	PRESENCE_WORD_MAX = 100,  /* bytes, `other:` counted */
	PRESENCE_XML_MAX = 3000,  /* bytes, in all places together */
};

enum presence_list {
	PRESENCE_ACTIVITIES,
	PRESENCE_MOOD,
	PRESENCE_PLACE_TYPE,
	PRESENCE_LISTS,
};

/** Where in a document XML of others stands. The lists are the first ones. */
enum presence_place {
	PRESENCE_IN_PERSON = PRESENCE_LISTS,
	PRESENCE_IN_STATUS,
	PRESENCE_IN_TUPLE,
	PRESENCE_IN_DOCUMENT,
	PRESENCE_PLACES,
};

/** Everything is borrowed; null: there is none. */
struct presence {
	bool closed;
	const char *note;
	const char *words[PRESENCE_LISTS][PRESENCE_WORDS_MAX];
	size_t count[PRESENCE_LISTS];
	const char *xml[PRESENCE_PLACES];
};

/** Names of the members of JSON: of `presence`, and of its `xml`. */
extern const char *const presence_list_name[PRESENCE_LISTS];
extern const char *const presence_place_name[PRESENCE_PLACES];

/** Whether a list has a word of that name; `other:` is none of them. */
bool presence_knows(enum presence_list list, const char *p, size_t n);

/** The words of a list in a sentence, separated by `, `. */
const char *presence_words(enum presence_list list);

/**
 * Add a word to a list, once.
 *
 * @param p  one that presence_knows(), or `other:` and a text of UTF-8
 * @return 0, EMSGSIZE (PRESENCE_WORD_MAX, PRESENCE_WORDS_MAX), ENOMEM
 */
int presence_add(struct presence *p, struct arena *a, enum presence_list list,
		 const char *word, size_t n);

/**
 * Write it as one JSON object.
 *
 * @param more  JSON text of an object with further members, or null
 */
void presence_write(struct buf *b, const struct presence *p, const char *more);

#endif
