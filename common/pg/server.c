/*
 * What a connection begins with: addresses, parameters, limits.
 */
#include "common/pg/server.h"

#include <stdio.h>

#include "common/log.h"
#include "common/schema.h"

enum {
	WORDS_MAX = 16,
	OPTIONS_SIZE = 256,
};

int pg_server_open(struct pg_server *server)
{
	return pg_hosts_new(&server->hosts, server->conninfo);
}

void pg_server_close(struct pg_server *server)
{
	pg_hosts_free(server->hosts);
	server->hosts = NULL;
}

/* Parameters of libpq. */
struct words {
	const char *key[WORDS_MAX + 1], *value[WORDS_MAX + 1];
	size_t n;
};

static void word(struct words *w, const char *key, const char *value)
{
	w->key[w->n] = key;
	w->value[w->n++] = value;
}

PGconn *pg_server_connect(const struct pg_server *server, int limit_ms,
			  int lock_ms, size_t from)
{
	struct pg_hosts_list hosts = {.n = 0};
	struct words w = {.n = 0};
	PGconn *pg;
	char options[OPTIONS_SIZE], lock[OPTIONS_SIZE / 4] = "";

	if (lock_ms)
		(void)snprintf(lock, sizeof(lock), " -c lock_timeout=%d",
			       lock_ms);
	(void)snprintf(options, sizeof(options),
		       "-c statement_timeout=%d%s -c tcp_keepalives_idle=5 "
		       "-c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 "
		       "-c tcp_user_timeout=20000",
		       limit_ms, lock);
	/* What conninfo says goes before what stands above it. A host that
	 * has vanished is noticed within 20 s: the server's by these words,
	 * ours by the server, which is told to look by the options. */
	word(&w, "user", server->user);
	word(&w, "fallback_application_name", server->application);
	word(&w, "client_encoding", "UTF8");
	word(&w, "options", options);
	word(&w, "keepalives_idle", "5");
	word(&w, "keepalives_interval", "5");
	word(&w, "keepalives_count", "3");
	word(&w, "tcp_user_timeout", "20000");
	word(&w, "dbname", server->conninfo);
	pg_hosts_list(&hosts, server->hosts, from);
	if (hosts.n) {
		word(&w, "host", hosts.host.p);
		word(&w, "hostaddr", hosts.hostaddr.p);
		word(&w, "port", hosts.port.p);
	}
	pg = PQconnectStartParams(w.key, w.value, 1);
	pg_hosts_list_free(&hosts);
	return pg;
}

void pg_server_wrong_version(struct pg_server *server, int version)
{
	if (server->version_seen == version + 1)
		return;
	server->version_seen = version + 1;
	log_error("schema_version", LOG_INT("found", version),
		  LOG_INT("needed", SCHEMA_VERSION),
		  LOG_STR("mend_with", "sql/migrate CONNINFO"));
	if (version && server->wrong_version)
		server->wrong_version(server->arg);
}
