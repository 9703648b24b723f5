/*
 * Connections that phones open, TCP and TLS: how many, how long they may take
 * to say something, what comes by them, and that libre sees of it only whole
 * messages that have passed the gate.
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
	/* who has not proved who he is says something sound within it */
	CONN_STRANGER_MS = 32000,
};

int conn_table_alloc(struct conn_table **ctp, const struct settings *set,
		     struct gate *gate, struct budget *budget);
void conn_set_proven(const struct tcp_conn *tc);

#endif
