/*
 * Destinations of deliveries (transport, host and port, or a connection):
 * which have answered lately, and how much is under way to each.
 */
#ifndef DESTINATION_H
#define DESTINATION_H

#include <re.h>

struct destinations;
struct destination;

enum {
	DESTINATION_LATELY_MS = 600000, /* an answer counts for so long */
	DESTINATIONS_MAX = 65536,	/* remembered without work under way */
	DESTINATIONS_TOLD_MAX = 1024,	/* the database is told of at once */
};

int destinations_alloc(struct destinations **dsp);
int destination_begin(struct destination **dp, struct destinations *ds,
		      const char *name);
void destination_heard(struct destination *d, bool answered, uint64_t now_ms);
void destination_end(struct destination *d);
int destinations_print(struct mbuf *mb, const struct destinations *ds,
		       uint64_t now_ms);

#endif
