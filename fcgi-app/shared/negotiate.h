/*
 * negotiate.h: which media type goes out (RFC 9110, section 12.5.1), and
 * what one that comes in says of itself (section 8.3.1).
 */
#ifndef RESTSIP_NEGOTIATE_H
#define RESTSIP_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/request.h"

enum {
	NEGOTIATE_RANGES_MAX = 32, /* more of Accept is not looked at */
};

/**
 * Choose among types. `application/xml` and `text/xml` stand for a type that
 * ends with +xml, but in a browser's list, which has text/html.
 *
 * @param accept  the header, or null: then the first type it is
 * @param types   in lower case, in order of preference, null at the end
 * @return its place, or -1: none will do
 */
int negotiate_pick(const char *accept, const char *const *types);

/** How a GET is answered. */
enum form {
	FORM_DOCUMENT,
	FORM_SSE,    /* a stream, text/event-stream */
	FORM_NDJSON, /* a stream, application/x-ndjson */
};

/**
 * Whether a resource that has both goes out as a document or as a stream: as a
 * stream where one is asked for, or where Accept prefers it to all types of the
 * document. A range with a `*` does not ask for a stream: only clients that
 * name one get an answer without an end.
 *
 * @param accept  the header, or null
 * @param asked   by the query: ?stream, ?wait=
 * @param types   of the document, null at the end
 */
enum form negotiate_form(const char *accept, bool asked,
			 const char *const *types);

/** The same for a request. */
enum form negotiate_form_of(const struct request *req,
			    const char *const *types);

/**
 * Whether a Content-Type may be kept and given again: no control characters,
 * `type/subtype`, at most 255 bytes.
 */
bool negotiate_type_is_sound(const char *type);

/**
 * Whether a body is JSON by its Content-Type (null, empty: it is). patch: what
 * RFC 7396 calls a merge patch is too.
 */
bool negotiate_is_json(const char *type, bool patch);

/** Whether its charset is UTF-8 or a part of that, or not there. */
bool negotiate_charset_is_utf8(const char *type);

#endif
