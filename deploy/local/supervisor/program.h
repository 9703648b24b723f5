/*
 * Programs: started, started again, stopped.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>

struct supervisor;
struct program;

enum {
	RETRY_MAX_MS = 1000,
	SETTLED_MS = 5000, /* who lived this long starts at RETRY_FIRST_MS */
	WAIT_POLL_MS = 50,
};

/** Start what is due. @return after how many ms to look again, or -1 */
long long programs_start(struct supervisor *s);

/** Take notice of who has died. stopping: that was asked for */
void programs_reap(struct supervisor *s, bool stopping);

/** Kill what programs have left behind outside their process groups */
void orphans_kill(const struct supervisor *s);

#endif
