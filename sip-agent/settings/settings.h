/*
 * The agent's settings, read once.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <re.h>

#include "common/log.h"

struct config;
struct settings;

enum {
	LISTEN_MAX = 8,
};

int settings_alloc(struct settings **sp, const char *file);
const struct config *settings_config(const struct settings *s);
enum log_level settings_log_level(const struct settings *s);
const char *settings_addresses(const struct settings *s);
const char *settings_name(const struct settings *s);
const char *settings_conninfo(const struct settings *s);
size_t settings_listen(const struct settings *s, const struct sa **sav);
size_t settings_relays(const struct settings *s, const struct sa **sav);
size_t settings_tls_listen(const struct settings *s, const struct sa **sav);
const char *settings_tls_authorities(const struct settings *s);
const char *settings_tls_certificate(const struct settings *s);
const char *settings_tls_key(const struct settings *s);
uint32_t settings_min_expires(const struct settings *s);
uint32_t settings_max_expires(const struct settings *s);
uint32_t settings_default_expires(const struct settings *s);
size_t settings_trace_bytes(const struct settings *s);
uint64_t settings_handshake_ms(const struct settings *s);

#endif
