#include "ctl/db.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct db {
	PGconn *pg;
};

enum {
	NAME_SIZE = 64, /* of an application in PostgreSQL */
};

/* Who runs this, for the record of what was done: through sudo, who called it.
 */
static void name_us(char out[static NAME_SIZE])
{
	const char *who = getenv("SUDO_USER");
	const struct passwd *pw = getpwuid(getuid());

	if (!who || !*who)
		who = pw ? pw->pw_name : "?";
	(void)snprintf(out, NAME_SIZE, "restsipctl %s", who);
}

/* libpq ends its messages with a line feed. */
static int length_of(const char *message)
{
	size_t n = strlen(message);

	while (n && message[n - 1] == '\n')
		n--;

	return (int)n;
}

static PGconn *connect_as_operator(const char *conninfo)
{
	char us[NAME_SIZE], timeout[16], options[64];
	const char *const words[][2] = {
		{"connect_timeout", timeout},
		{"options", options},
		{"dbname", conninfo},
		/* what stands below it goes before what conninfo says */
		{"user", "restsip_operator"},
		{"application_name", us},
		{"client_encoding", "UTF8"},
	};
	enum { WORDS = sizeof(words) / sizeof(*words) };
	const char *keys[WORDS + 1] = {NULL}, *values[WORDS + 1] = {NULL};

	name_us(us);
	(void)snprintf(timeout, sizeof(timeout), "%d", DB_CONNECT_S);
	(void)snprintf(options, sizeof(options), "-c statement_timeout=%d",
		       DB_STATEMENT_MS);
	for (size_t i = 0; i < WORDS; i++) {
		keys[i] = words[i][0];
		values[i] = words[i][1];
	}

	return PQconnectdbParams(keys, values, 1);
}

/**
 * @param conninfo  of the settings
 * @return  CTL_DONE or CTL_UNREACHABLE
 */
enum ctl_exit db_open(struct db **out, const char *conninfo)
{
	struct db *db = calloc(1, sizeof(*db));

	if (!db) {
		ctl_say("no memory");
		return CTL_UNREACHABLE;
	}
	db->pg = connect_as_operator(conninfo);
	if (PQstatus(db->pg) != CONNECTION_OK) {
		ctl_say("the database cannot be reached as restsip_operator: "
			"%.*s\n"
			"Who may be that role is said in pg_hba.conf and "
			"pg_ident.conf: README, Deploying.",
			length_of(PQerrorMessage(db->pg)),
			PQerrorMessage(db->pg));
		db_close(db);
		return CTL_UNREACHABLE;
	}
	*out = db;

	return CTL_DONE;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	PQfinish(db->pg);
	free(db);
}

/* A refusal is RSnnn, with a sentence for people (sql/README.md). */
static enum ctl_exit say_why(struct db *db, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (state && !strncmp(state, "RS", 2)) {
		ctl_say("%s", detail ? detail : message);
		return CTL_REFUSED;
	}
	if (!message)
		message = PQerrorMessage(db->pg);
	ctl_say("the database: %.*s%s", length_of(message), message,
		state && !strncmp(state, "42", 2)
			? " (is sql/migrate of this version done?)"
			: "");

	return CTL_UNREACHABLE;
}

/**
 * Ask one statement, which is a transaction.
 *
 * @param out     the rows, owned: PQclear()
 * @param params  n texts, $1 the first; NULL is null
 * @return  CTL_DONE, CTL_REFUSED, CTL_UNREACHABLE
 */
enum ctl_exit db_ask(struct db *db, PGresult **out, const char *sql,
		     const char *const *params, int n)
{
	PGresult *res = PQexecParams(db->pg, sql, n, NULL, params, NULL, NULL,
				     0);
	enum ctl_exit end;

	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		*out = res;
		return CTL_DONE;
	}
	end = say_why(db, res);
	PQclear(res);

	return end;
}
