/*
 * The database, one statement after the other, as role restsip_operator. What
 * goes wrong is said here; a command hands the exit code on.
 */
#ifndef CTL_DB_H
#define CTL_DB_H

#include <libpq-fe.h>

#include "ctl/ctl.h"

enum {
	DB_PARAMS_MAX = 4,
	DB_CONNECT_S = 10,	 /**< Unless conninfo says another */
	DB_STATEMENT_MS = 30000, /**< Somebody else's lock is waited for */
};

struct db;

enum ctl_exit db_open(struct db **out, const char *conninfo);
void db_close(struct db *db);
enum ctl_exit db_ask(struct db *db, PGresult **out, const char *sql,
		     const char *const *params, int n);

#endif
