/*
 * Connections that phones open, TCP and TLS: bounds how many there are and how
 * long they may be silent, and shows libre only whole messages that have passed
 * the gate.
 */
#ifndef CONN_H
#define CONN_H

#include <re.h>

struct budget;
struct conn_table;
struct gate;
struct settings;

enum {
	/* bytes of unfinished messages in all; one connection may have a part
	   of what is left of them */
	CONN_HELD_MAX = 32 * 1024 * 1024,
	CONN_HELD_PARTS = 4,
	/* a stranger must send a sound message within it */
	CONN_STRANGER_MS = 32000,
};

int conn_table_alloc(struct conn_table **ctp, const struct settings *set,
		     struct gate *gate, struct budget *budget);
void conn_set_proven(const struct tcp_conn *tc);
bool conn_came_from(const struct sa *peer);

#endif
