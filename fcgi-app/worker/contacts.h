/*
 * contacts.h: what a login's body says: contacts, as JSON (a string, an
 * object, an array of either), a line each (text/plain), a list of URIs
 * (text/uri-list, RFC 2483, section 5), or a presence document, which is of
 * the contact that it names, or of the one that the path names.
 */
#ifndef RESTSIP_CONTACTS_H
#define RESTSIP_CONTACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/exchange.h"

enum {
	CONTACTS_MAX = 64, /* in one request */
};

/** One contact. Borrowed from the arena. */
struct contact {
	const char *uri;     /* null: not given */
	const char *key;     /* by which two are the same; null likewise */
	long long expires_s; /* 0: not given */
	const char *extra;   /* all other members, JSON; null: none */
};

struct contacts {
	struct contact *list; /* n of them, at least one */
	size_t n;
	bool many;   /* an array or several lines: so is the answer */
	bool merge;  /* the other members of the contact stay: PIDF */
	bool stream; /* one without a contact, that lives with a stream */
};

/** What may stand in the body. */
enum contacts_form {
	CONTACTS_NEW,	  /* one or several, each with a URI */
	CONTACTS_REFRESH, /* one, perhaps without; or empty */
};

/** Read the body. @return false: a problem has been answered */
bool contacts_read(struct exchange *x, enum contacts_form form,
		   struct contacts *out);

/** The items of api.login_register_many(). Borrowed; null: no memory. */
const char *contacts_json(const struct contacts *c, struct arena *a);

#endif
