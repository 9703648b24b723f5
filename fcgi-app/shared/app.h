/*
 * app.h: what a worker has, made once by main and handed to everybody.
 */
#ifndef RESTSIP_APP_H
#define RESTSIP_APP_H

#include <stdint.h>

struct auth;
struct cidr_list;
struct config;
struct db;
struct exchange;
struct fcgi_server;
struct hasher;
struct larges;
struct loop;
struct metrics;

/** Since the process began. */
struct app_stats {
	uint64_t answers[6]; /* by the status' first digit */
	uint64_t took_ms;    /* of all answers together */
};

struct app {
	const struct config *config;
	/* what each of routes_table() does in a worker */
	void (*const *handlers)(struct exchange *x);
	struct cidr_list *bind_deny; /* agent.bind_deny, taken apart */
	struct loop *loop;
	struct fcgi_server *server;
	struct db *db;
	struct hasher *hasher;
	struct auth *auth;
	struct larges *larges;
	struct metrics *metrics;
	struct app_stats stats;
};

#endif
