/*
 * Connections that phones open, TCP and TLS: how many, what comes by them, and
 * that libre sees of it only whole messages that have passed the gate.
 */
#ifndef CONN_H
#define CONN_H

#include <re.h>

struct budget;
struct conn_table;
struct gate;

enum {
	/* bytes of unfinished messages in all; one connection may have a part
	   of what is left of them */
	CONN_HELD_MAX = 32 * 1024 * 1024,
	CONN_HELD_PARTS = 4,
};

int conn_table_alloc(struct conn_table **ctp, struct gate *gate,
		     struct budget *budget);

#endif
