/*
 * The settings of all programs: one INI file, each setting overridable by the
 * environment (RESTSIP_<SECTION>_<KEY>). One table, in config.c, says what
 * there is; deploy/restsip.ini.example is checked against it.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/aor.h"
#include "common/log.h"

enum {
	CONFIG_WHY_SIZE = 256,
};

/** Strings are owned by the config, and never NULL. */
struct config {
	struct {
		int bad_burst;
		int bad_per_s;
		char *aliases;
		char *bind_deny;
		int connections;
		int default_expires_s;
		char *listen;
		int max_expires_s;
		int min_expires_s;
		char *name;
		int queries;
		int requests;
		char *rest_send_allow;
		char *send_allow;
		int session_expires_s;
		int session_min_s;
		int session_probe_s;
		int source_connections;
		int source_requests;
		char *tls_authorities;
		char *tls_certificate;
		char *tls_key;
		char *tls_listen;
		int trace_bytes;
		int unproven_burst;
		int unproven_per_s;
	} agent;
	struct {
		char *listen;
		int readers;
		int writers;
	} api;
	struct {
		char *conninfo;
	} database;
	struct {
		char *cors_origins;
		char *domains;
		bool signup_open;
	} http;
	struct {
		int handshake_s;
		int handshakes;
		int read_ms;
		int source_handshakes;
		int write_ms;
	} limits;
	struct {
		enum log_level level;
	} log;
	struct {
		char *ice_servers;
		char *rtpengine;
		char *turn_secret;
	} media;
	struct {
		char *listen;
		char *name;
	} stream;
};

int config_load(struct config *c, const char *file,
		char why[static CONFIG_WHY_SIZE]);
void config_free(struct config *c);
size_t config_item(const char **list);
bool config_hosts(const struct config *c, const char *domain);
bool config_only_domain(const struct config *c, char out[static AOR_BUF]);
int config_example(FILE *f);

#endif
