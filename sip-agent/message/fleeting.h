/*
 * What is told to phones and kept nowhere: that somebody is writing
 * (RFC 3994).  A bell says so; who cannot be told does not hear of it.
 */
#ifndef FLEETING_H
#define FLEETING_H

#include <re.h>

#define FLEETING_BELL "composing "

enum {
	FLEETING_MAX = 64,	  /* under way at once, */
	FLEETING_ACCOUNT_MAX = 8, /* of one who writes */
};

struct agent;
struct fleeting;

int fleeting_alloc(struct fleeting **fp, struct agent *ag);
void fleeting_ring(struct fleeting *f, const char *payload);

#endif
