/*
 * Media relays, asked over rtpengine's ng protocol: a dictionary behind a
 * cookie, in a datagram, which is repeated until its answer comes.
 */
#ifndef NG_H
#define NG_H

#include <re.h>

#include "common/buf.h"

struct ng;
struct ng_ask;
struct seats;

enum {
	NG_RELAYS_MAX = 8,
	NG_ASKS_MAX = 4096,	    /* under way, of all relays */
	NG_AGAIN_MS = 1000,	    /* it is repeated after that */
	NG_TRIES_MAX = 3,	    /* and given up after as many of those */
	NG_TRIES_LAST = 20,	    /* of ng_end */
	NG_PUT_BACK_MS = 30 * 1000, /* others are asked rather, see ng_failed */
	NG_BODY_MAX = 60000,	    /* bytes; a datagram has 65,507 */
};

/**
 * What has become of a question
 *
 * @param err  0; ETIMEDOUT: no answer; EBADMSG: it is none
 * @param dict The answer, whole; borrowed
 */
typedef void(ng_h)(int err, const struct pl *dict, void *arg);

/**
 * @param relay A relay has media sent to that address
 *
 * @return Whether media may be sent there
 */
typedef bool(ng_may_h)(const struct sa *sa, bool relay, void *arg);

int ng_alloc(struct ng **np, const struct sa *relayv, size_t relayc);
void ng_guard(struct ng *n, ng_may_h *h, void *arg);
void ng_learn(struct ng *n, size_t relay, const struct sa *media);
bool ng_may_aim(const struct ng *n, const struct sa *sa);
int ng_pick(struct ng *n, size_t *relay);
int ng_other(struct ng *n, size_t *relay);
void ng_failed(struct ng *n, size_t relay);
int ng_find(size_t *relay, const struct ng *n, const struct sa *sa);
struct seats *ng_seats(struct ng *n);
int ng_end(struct ng *n, size_t relay, const struct buf *dict, const char *id);
void ng_begin(struct ng *n, size_t relay, const char *id);
size_t ng_count(const struct ng *n);
const struct sa *ng_address(const struct ng *n, size_t relay);
int ng_ask(struct ng_ask **ap, struct ng *n, size_t relay,
	   const struct buf *dict, int tries, ng_h *h, void *arg);

#endif
