/*
 * The settings as they are read once, at the start, and what each says.
 */
#include "settings/settings.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "logre.h"
#include "settings/settings_parts.h"

static void destructor(void *arg)
{
	struct settings *s = arg;

	mem_deref(s->addresses);
	settings_reach_close(s);
	config_free(&s->cfg);
}

/* libre takes of a port what fits into one */
static bool has_port(const char *p, size_t len)
{
	struct pl port = {p + len, 0};

	while (port.p > p && port.p[-1] >= '0' && port.p[-1] <= '9') {
		port.p--;
		port.l++;
	}

	return port.l && port.l <= 5 && pl_u32(&port) <= UINT16_MAX;
}

/* Concrete addresses: what we are bound to is what Via says */
static int read_addresses(struct sa *sav, size_t *sac, const char *key,
			  const char *p)
{
	for (;;) {
		struct sa *sa = &sav[*sac];
		size_t len;

		p += strspn(p, SEPARATORS);
		len = strcspn(p, SEPARATORS);
		if (!len)
			return 0;
		if (*sac >= LISTEN_MAX) {
			log_error("settings", LOG_STR("key", key),
				  LOG_STR("why", "more than 8 addresses"));
			return E2BIG;
		}
		if (sa_decode(sa, p, len) || sa_is_any(sa) || !sa_port(sa) ||
		    !has_port(p, len)) {
			log_error("settings", LOG_STR("key", key),
				  LOG_MEM("value", p, len),
				  LOG_STR("why", "not a concrete "
						 "address:port"));
			return EINVAL;
		}
		++*sac;
		p += len;
	}
}

static int read_listen(struct settings *s)
{
	int err;

	err = read_addresses(s->listenv, &s->listenc, "agent.listen",
			     s->cfg.agent.listen);
	if (!err)
		err = read_addresses(s->tls_listenv, &s->tls_listenc,
				     "agent.tls_listen",
				     s->cfg.agent.tls_listen);
	if (!err)
		err = read_addresses(s->relayv, &s->relayc, "media.rtpengine",
				     s->cfg.media.rtpengine);
	if (err)
		return err;
	if (!s->listenc)
		return EINVAL;

	if (*s->cfg.agent.name)
		str_ncpy(s->name, s->cfg.agent.name, sizeof(s->name));
	else
		(void)re_snprintf(s->name, sizeof(s->name), "%J",
				  &s->listenv[0]);

	return 0;
}

static int write_addresses(struct settings *s)
{
	struct mbuf *mb = mbuf_alloc(256);
	int err = 0;

	if (!mb)
		return ENOMEM;

	for (size_t i = 0; i < s->listenc; i++)
		err |= mbuf_printf(mb, "%s%J", mb->end ? "," : "",
				   &s->listenv[i]);
	for (size_t i = 0; i < s->tls_listenc; i++)
		err |= mbuf_printf(mb, "%s%J", mb->end ? "," : "",
				   &s->tls_listenv[i]);
	mb->pos = 0;
	if (!err)
		err = mbuf_strdup(mb, &s->addresses, mb->end);
	mem_deref(mb);

	return err;
}

/**
 * Read the settings; says on the log what is wrong with them, if anything
 *
 * @param sp   Set to the settings, owned by the caller
 * @param file INI file, NULL for none
 */
int settings_alloc(struct settings **sp, const char *file)
{
	struct settings *s = mem_zalloc(sizeof(*s), destructor);
	char why[CONFIG_WHY_SIZE];
	int err;

	if (!s)
		return ENOMEM;

	err = config_load(&s->cfg, file, why);
	if (err) {
		log_error("settings", LOG_STR("why", why));
	} else {
		if (!config_only_domain(&s->cfg, s->domain))
			s->domain[0] = '\0';
		if (gethostname(s->hostname, sizeof(s->hostname) - 1))
			s->hostname[0] = '\0'; /* too long for a domain */
		err = read_listen(s);
		if (!err)
			err = write_addresses(s);
		if (!err)
			err = settings_reach_open(s);
	}

	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}

enum log_level settings_log_level(const struct settings *s)
{
	return s->cfg.log.level;
}

const char *settings_name(const struct settings *s)
{
	return s->name;
}

/** All that is listened on, host:port with commas between */
const char *settings_addresses(const struct settings *s)
{
	return s->addresses;
}

const char *settings_conninfo(const struct settings *s)
{
	return s->cfg.database.conninfo;
}

/** The addresses to listen on; @return how many */
size_t settings_listen(const struct settings *s, const struct sa **sav)
{
	*sav = s->listenv;

	return s->listenc;
}

/** The addresses to listen on for TLS; @return how many */
size_t settings_tls_listen(const struct settings *s, const struct sa **sav)
{
	*sav = s->tls_listenv;

	return s->tls_listenc;
}

/** Where media relays are asked; @return how many */
size_t settings_relays(const struct settings *s, const struct sa **sav)
{
	*sav = s->relayv;

	return s->relayc;
}

/** PEM file of authorities beside the system's; empty where there is none */
const char *settings_tls_authorities(const struct settings *s)
{
	return s->cfg.agent.tls_authorities;
}

/** PEM file of the certificate and its chain; empty where there is none */
const char *settings_tls_certificate(const struct settings *s)
{
	return s->cfg.agent.tls_certificate;
}

/** PEM file of the certificate's key */
const char *settings_tls_key(const struct settings *s)
{
	return s->cfg.agent.tls_key;
}

uint32_t settings_min_expires(const struct settings *s)
{
	return (uint32_t)s->cfg.agent.min_expires_s;
}

uint32_t settings_max_expires(const struct settings *s)
{
	return (uint32_t)s->cfg.agent.max_expires_s;
}

uint32_t settings_default_expires(const struct settings *s)
{
	return (uint32_t)s->cfg.agent.default_expires_s;
}

/** All of them as they were read, borrowed */
const struct config *settings_config(const struct settings *s)
{
	return &s->cfg;
}

/** How much is kept of what passes between us and a phone in a call */
size_t settings_trace_bytes(const struct settings *s)
{
	return (size_t)s->cfg.agent.trace_bytes;
}

/** How long a TLS handshake may take */
uint64_t settings_handshake_ms(const struct settings *s)
{
	return (uint64_t)s->cfg.limits.handshake_s * 1000;
}
