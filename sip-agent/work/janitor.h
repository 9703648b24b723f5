/*
 * Calls the database's janitor once a second.
 */
#ifndef JANITOR_H
#define JANITOR_H

struct agent;
struct janitor;

enum {
	JANITOR_MS = 1000,
	JANITOR_LOST_MAX = 65536, /* flows whose end is not told yet */
};

int janitor_alloc(struct janitor **jp, struct agent *ag);
void janitor_flow_lost(struct janitor *j, const char *flow);

#endif
