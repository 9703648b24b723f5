/*
 * Places at media relays: who has a session there pays for it.
 */
#ifndef SEAT_H
#define SEAT_H

#include <re.h>

struct seat;
struct seats;

enum {
	SEATS_MAX = 64, /* of an account, at all relays */
};

int seats_alloc(struct seats **sp);
int seat_take(struct seat **sp, struct seats *seats, int64_t account, bool had);

#endif
