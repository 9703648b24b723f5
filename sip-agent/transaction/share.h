/*
 * Places that accounts share.  One may have all while nobody else wants any;
 * when none is free, the account that has most gives one to an account that has
 * fewer.
 */
#ifndef SHARE_H
#define SHARE_H

#include <re.h>

struct share;
struct shares;

/**
 * A place has gone to another account
 *
 * It must not take a place, nor call anything that might.
 */
typedef void(share_lost_h)(void *arg);

int shares_alloc(struct shares **sp, size_t max);
int share_take(struct share **sp, struct shares *s, int64_t account,
	       share_lost_h *h, void *arg);

#endif
