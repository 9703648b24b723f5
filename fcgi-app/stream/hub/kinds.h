/*
 * kinds.h: the kinds of resources that can be watched.
 */
#ifndef RESTSIP_STREAM_KINDS_H
#define RESTSIP_STREAM_KINDS_H

#include "stream/hub/topic.h"

/** An account's right to look at all: topics of it are not read. */
extern const struct topic_kind kind_session;

/** A participant who is in a call for as long as its account has streams of it:
 *  topics of it are not read, only watched. */
extern const struct topic_kind kind_participant;

/** A session whose logins live as long as its owner's streams: likewise. */
extern const struct topic_kind kind_bearer;

/** @param name  as in sql/README.md; null: none. @return null: no such kind */
const struct topic_kind *kind_find(const char *name);

#endif
