/*
 * The server of all connections of a program, and how one of them begins.
 */
#ifndef PG_SERVER_H
#define PG_SERVER_H

#include <libpq-fe.h>

#include "common/pg/hosts.h"
#include "common/pg/loop.h"

/** What all connections of a program share. It outlives them. */
struct pg_server {
	struct pg_loop loop;
	const char *conninfo;
	const char *user;	 /**< role, unless conninfo names a user */
	const char *application; /**< application_name */
	/** the schema is of a version that we cannot use; may be null */
	void (*wrong_version)(void *arg);
	void *arg;
	struct pg_hosts *hosts; /**< of conninfo, by pg_server_open() */
	int version_seen;	/**< ours: the last that was refused, 0: none */
};

/** To be called once conninfo is set. @return 0 or ENOMEM */
int pg_server_open(struct pg_server *server);

/** Harmless where it was not opened */
void pg_server_close(struct pg_server *server);

/**
 * Begin to connect, to addresses that server->hosts knows.
 *
 * @param limit_ms how long a statement may take
 * @param lock_ms  and wait for a lock; 0: as long as the server has it
 * @param from     as pg_hosts_list() has it
 * @return as PQconnectStartParams()
 */
PGconn *pg_server_connect(const struct pg_server *server, int limit_ms,
			  int lock_ms, size_t from);

/** What was found is a version that we cannot use; 0: there is no schema */
void pg_server_wrong_version(struct pg_server *server, int version);

#endif
