/*
 * hasher.h: password hashes, made by one thread beside the loop. A hash takes
 * long, so they come in turn: logins before new passwords (but one new password
 * after three logins), every second one of who has signed in from there before,
 * however many others guess; and in each queue one address after the other
 * (turn.h).
 */
#ifndef RESTSIP_HASHER_H
#define RESTSIP_HASHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/password.h"
#include "shared/loop.h"

enum {
	HASHER_QUEUE_MAX = 1024, /* that wait, of each kind */
	HASHER_SOURCE_MAX = 64,	 /* of those, of one source */
	HASHER_WAIT_MS = 2000,	 /* how long one waits at most */
	HASHER_PASSWORD_MAX = PASSWORD_BUF,
	HASHER_HASH_MAX = PASSWORD_HASH_SIZE,
	HASHER_MEMORY = 20 << 20, /* bytes, what yescrypt takes at once */
};

struct hasher;

/**
 * @param err   0; EBUSY: it waited too long; ECANCELED: nobody wants it any
 *              more; ENOMEM; EINVAL: the setting is none of crypt(3)
 * @param hash  what crypt(3) gave, null with an error. Borrowed.
 */
typedef void(hasher_h)(int err, const char *hash, void *arg);

/** Whether somebody still waits for it: asked when its turn has come. */
typedef bool(hasher_wanted_h)(const void *arg);

struct hasher_job {
	const char *password; /* copied */
	const char *setting;  /* copied; null: a fresh one, a new password */
	const char *source;   /* the caller's address */
	bool known;	      /* of a login: it was right from there lately */
	hasher_wanted_h *wanted; /* null: always */
	hasher_h *done;
	void *arg;
};

struct hasher_stats {
	uint64_t hashed, busy, unwanted; /* since the beginning */
	size_t waiting;			 /* now */
};

int hasher_new(struct hasher **out, struct loop *l);

/** Waits for the hash under way; what is queued is never answered. */
void hasher_free(struct hasher *h);

/**
 * crypt(password, setting). The answer comes later, from the loop.
 *
 * @return 0, EBUSY (the queue is full), EINVAL (too long), ENOMEM
 */
int hasher_ask(struct hasher *h, const struct hasher_job *job);

struct hasher_stats hasher_stats(const struct hasher *h);

#endif
