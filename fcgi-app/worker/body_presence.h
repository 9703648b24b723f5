/*
 * body_presence.h: presence in a body: as a member of JSON (a word, or an
 * object that says what PIDF can), or as a PIDF document. See
 * common/presence/presence.h.
 */
#ifndef RESTSIP_BODY_PRESENCE_H
#define RESTSIP_BODY_PRESENCE_H

#include "worker/exchange.h"
#include "shared/json.h"

/**
 * Read a member.
 *
 * @param at   pointer of where it stands
 * @param out  the same as presence_write() makes it, in the arena
 * @return false: a problem has been answered
 */
bool body_presence(struct exchange *x, const struct json *v, const char *at,
		   const char **out);

/**
 * Read the body as a document.
 *
 * @param out      as above
 * @param contact  the URI that it names, in the arena; null: none
 * @return false: a problem has been answered
 */
bool body_pidf(struct exchange *x, const char **out, const char **contact);

#endif
