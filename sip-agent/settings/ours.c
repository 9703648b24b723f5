/*
 * What names this server: the domains that are hosted, the addresses that we
 * listen on, and what stands for the domain.
 */
#include "settings/ours.h"

#include <errno.h>
#include <string.h>

#include "common/sipuri.h"
#include "parse/uri.h"
#include "settings/settings_parts.h"

/** Whether accounts of this domain live here; letters of either case */
bool settings_hosts(const struct settings *s, const struct pl *domain)
{
	char normal[AOR_BUF];

	return pl_isset(domain) &&
	       !domain_parse(normal, domain->p, domain->l) &&
	       config_hosts(&s->cfg, normal);
}

static bool is_listed(const struct sa *sav, size_t sac, const struct sa *sa)
{
	for (size_t i = 0; i < sac; i++) {
		if (sa_cmp(&sav[i], sa, SA_ALL))
			return true;
	}

	return false;
}

/** Whether this is an address that we listen on for TLS */
bool settings_is_tls(const struct settings *s, const struct sa *sa)
{
	return is_listed(s->tls_listenv, s->tls_listenc, sa);
}

/** Whether this is an address that we listen on */
bool settings_is_own(const struct settings *s, const struct sa *sa)
{
	return is_listed(s->listenv, s->listenc, sa) ||
	       is_listed(s->tls_listenv, s->tls_listenc, sa);
}

/* An address that we listen on; without a port, at any of them */
static bool is_own_host(const struct settings *s, const struct sa *sa,
			uint16_t port)
{
	if (port)
		return settings_is_own(s, sa);

	for (size_t i = 0; i < s->listenc; i++) {
		if (sa_cmp(&s->listenv[i], sa, SA_ADDR))
			return true;
	}
	for (size_t i = 0; i < s->tls_listenc; i++) {
		if (sa_cmp(&s->tls_listenv[i], sa, SA_ADDR))
			return true;
	}

	return false;
}

/* An IPv6 address out of its brackets */
static struct pl without_brackets(struct pl host)
{
	if (host.l > 2 && *host.p == '[')
		return (struct pl){host.p + 1, host.l - 2};

	return host;
}

/* Whether an item of the setting aliases is this host */
static bool is_same_host(const struct pl *item, const struct pl *host)
{
	char one[AOR_BUF], other[AOR_BUF];
	struct sa a, b;

	if (!sa_set(&a, item, 0))
		return !sa_set(&b, host, 0) && sa_cmp(&a, &b, SA_ADDR);

	return !domain_parse(one, item->p, item->l) &&
	       !domain_parse(other, host->p, host->l) && !strcmp(one, other);
}

static bool is_alias(const struct settings *s, const struct pl *host)
{
	const char *p = s->cfg.agent.aliases;
	const struct pl hostname = {s->hostname, strlen(s->hostname)};
	size_t n;

	if (hostname.l && is_same_host(&hostname, host))
		return true;

	while ((n = config_item(&p))) {
		const struct pl item = without_brackets((struct pl){p - n, n});

		if (is_same_host(&item, host))
			return true;
	}

	return false;
}

/*
 * Whether a host stands for the domain that is hosted here: our own addresses,
 * our host's name and the aliases do, where it is one alone.  Who sets up a
 * first phone knows no other name of the server, and some phones have no field
 * for one.
 */
static bool is_our_name(const struct settings *s, struct pl host, uint16_t port)
{
	struct sa sa;

	if (!*s->domain)
		return false;
	host = without_brackets(host);

	return (!sa_set(&sa, &host, port) && is_own_host(s, &sa, port)) ||
	       is_alias(s, &host);
}

/** Whether a URI names this server: a domain of ours or our own address */
bool settings_is_ours(const struct settings *s, const struct uri *uri)
{
	const uint16_t usual = pl_strcasecmp(&uri->scheme, "sips")
				       ? SIP_PORT
				       : SIP_PORT_TLS;
	struct sa sa;

	if (settings_hosts(s, &uri->host) ||
	    is_our_name(s, uri->host, uri->port))
		return true;

	return !sa_set(&sa, &uri->host, uri->port ? uri->port : usual) &&
	       settings_is_own(s, &sa);
}

/**
 * The address of record in a SIP URI, as uri_to_aor() has it; what stands for
 * the domain is the domain
 */
int settings_to_aor(const struct settings *s, char aor[AOR_BUF],
		    const struct pl *uri)
{
	struct sipuri u;

	if (sipuri_parse(&u, uri->p, uri->l))
		return EINVAL;

	return uri_to_aor(
		aor, uri,
		is_our_name(s, (struct pl){u.host.p, u.host.n}, u.port)
			? s->domain
			: NULL);
}
