/*
 * place.h: this process as the database knows it. The lowest layer of the
 * stream program: every other has a pointer to it.
 */
#ifndef RESTSIP_STREAM_PLACE_H
#define RESTSIP_STREAM_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct loop;
struct stream_pool;

struct place {
	struct loop *loop;
	struct stream_pool *pool;
	struct db *db; /* borrowed; null at the end */
	bool started;  /* the database knows us, as `process` */
	bool draining;
	int process;
	uint64_t epoch;	 /* counts the starts */
	uint64_t seq;	 /* counts what goes over the session's connection */
	uint64_t events; /* counts what is rendered */
};

/** Whether the database can be asked in our name. */
static inline bool place_is_open(const struct place *p)
{
	return p->started && p->db;
}

#endif
