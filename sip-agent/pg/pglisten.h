/*
 * The connection that listens for doorbells and holds the agent's advisory
 * lock, by which others see that it is alive.
 */
#ifndef PGLISTEN_H
#define PGLISTEN_H

#include <stdbool.h>
#include <stdint.h>

struct pg_server;
struct pglisten;

/** Listening has begun: read everything anew */
typedef void(pglisten_ready_h)(int agent, void *arg);
/** A doorbell rang; the payload says for which work */
typedef void(pglisten_bell_h)(const char *payload, void *arg);

/** Others do our work, so that we must not go on */
typedef void(pglisten_dead_h)(void *arg);

struct pglisten_conf {
	struct pg_server *server;
	const char *name;      /**< of this agent, as others see it */
	const char *addresses; /**< that it listens on, commas between */
	bool relays;	       /**< it has media relays */
	const char *boot;      /**< names this process among all of that name */
	pglisten_ready_h *ready;
	pglisten_bell_h *bell;
	pglisten_dead_h *dead;
	void *arg;
};

int pglisten_alloc(struct pglisten **plp, const struct pglisten_conf *conf);

#endif
