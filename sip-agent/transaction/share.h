/*
 * Places that accounts share.  One may have all while nobody else wants any;
 * where none is free, who has most gives one to who has fewer.
 */
#ifndef SHARE_H
#define SHARE_H

#include <re.h>

struct share;
struct shares;

/**
 * A place has gone to another account
 *
 * It is not to take a place, nor to call anybody who might.
 */
typedef void(share_lost_h)(void *arg);

int shares_alloc(struct shares **sp, size_t max);
int share_take(struct share **sp, struct shares *s, int64_t account,
	       share_lost_h *h, void *arg);

#endif
