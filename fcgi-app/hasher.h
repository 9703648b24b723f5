/*
 * hasher.h: password hashes, made by one thread beside the loop.
 */
#ifndef RESTSIP_HASHER_H
#define RESTSIP_HASHER_H

#include <stddef.h>

#include "loop.h"

enum {
	HASHER_QUEUE_MAX = 8,
	HASHER_PASSWORD_MAX = 512, /* bytes, with the NUL */
	HASHER_HASH_MAX = 384,	   /* CRYPT_OUTPUT_SIZE */
};

struct hasher;

/** hash: what crypt(3) gave; null when it failed. Borrowed. */
typedef void(hasher_h)(const char *hash, void *arg);

int hasher_new(struct hasher **out, struct loop *l);

/** Waits for the hash under way; what is queued is never answered. */
void hasher_free(struct hasher *h);

/**
 * crypt(password, setting). The answer comes later, from the loop.
 *
 * @param setting  null: a fresh yescrypt setting, for a new password
 * @return 0, EBUSY (the queue is full), EINVAL (too long), ENOMEM
 */
int hasher_ask(struct hasher *h, const char *password, const char *setting,
	       hasher_h *done, void *arg);

#endif
